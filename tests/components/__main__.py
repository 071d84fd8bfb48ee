"""``python -m tests.components s3 start|stop FOLDER``: an S3 server for a workflow's job that has no AWS.

``start`` prints ``NAME=value`` lines for ``$GITHUB_ENV`` (the keys are the tests' own, no secret) and leaves the server
running; ``stop`` ends it.
"""

import argparse
import contextlib
import json
import sys
from pathlib import Path

import psutil

from tests.components.s3 import SeaweedFS

BUCKET = "fraud"
STATE = "seaweedfs.json"


def main() -> None:
    """Start or stop."""
    parser = argparse.ArgumentParser(prog="python -m tests.components", description=__doc__)
    parser.add_argument("component", choices=["s3"])
    parser.add_argument("verb", choices=["start", "stop"])
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    (start if given.verb == "start" else stop)(given.folder.resolve())


def start(folder: Path) -> None:
    """Start a server with one empty bucket; it outlives this process."""
    folder.mkdir(parents=True, exist_ok=True)
    server = SeaweedFS(folder).start()
    try:
        state = {"pid": server._process.pid, "ports": list(server._ports.values())}
        (folder / STATE).write_text(json.dumps(state))
        bucket = server.make_bucket(BUCKET)
    except BaseException:
        server.stop()
        raise
    print(f"s3 server pid {state['pid']}", file=sys.stderr)
    for name, value in {**server.env, "FRAUD_S3_URI": f"s3://{bucket}/retrain"}.items():
        print(f"{name}={value}")


def stop(folder: Path) -> None:
    """End the server of ``folder``, if one was started. Its objects go with the job, so it gets no long farewell."""
    if not (folder / STATE).exists():
        return
    state = json.loads((folder / STATE).read_text())
    with contextlib.suppress(psutil.NoSuchProcess):
        server = psutil.Process(state["pid"])
        server.kill()
        server.wait(10)
    for port in state["ports"]:
        for left_over in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 - weed takes no other folder
            left_over.unlink()


if __name__ == "__main__":
    main()
