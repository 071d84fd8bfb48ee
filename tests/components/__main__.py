"""``python -m tests.components s3 start|stop FOLDER``: an S3 server for a workflow's job that has no AWS.

``start`` prints ``NAME=value`` lines for ``$GITHUB_ENV`` (the keys are the tests' own, no secret) and leaves the server
running; ``stop`` ends it.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from tests.components.s3 import SeaweedFS

BUCKET = "fraud"
PID = "seaweedfs.pid"


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
    (folder / PID).write_text(str(server.pid))
    print(f"s3 server pid {server.pid}", file=sys.stderr)
    bucket = server.make_bucket(BUCKET)
    for name, value in {**server.env, "FRAUD_S3_URI": f"s3://{bucket}/retrain"}.items():
        print(f"{name}={value}")


def stop(folder: Path) -> None:
    """End the server of ``folder``, if one was started."""
    if (folder / PID).exists():
        os.kill(int((folder / PID).read_text()), signal.SIGTERM)


if __name__ == "__main__":
    main()
