"""What a worker answers when more is asked of it than it can do: offered load from half its capacity to four times.

python -m benchmarks.overload
python -m benchmarks.overload --connections 64,1000 --loads 1,4 --seconds 5

One worker and the generator are pinned to a core each; the forest is made large, about 0.5 ms a row, so that the
generator has room. Goodput is what was answered with a score; latencies are those of such answers, from the moment a
call was due and from the moment it was sent. Loads go to 127.0.0.1 only. Needs Linux and 4 GiB.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import uvloop

from benchmarks.serving.crowd import Crowd
from benchmarks.serving.environments import ROOT
from benchmarks.serving.forests import clean_environment
from benchmarks.serving.percentile import percentile
from tests.components.process import Process, answers, free_port

SERVER_CORE, GENERATOR_CORE = 0, 1
BODY = ROOT / "sample_transaction.json"
_MORE_THAN_ANY, _LOW_RATE = 40_000.0, 100.0  # calls a second
_ENOUGH_CONNECTIONS = 500  # that batches are as large as they may be, and nothing is refused
_USUAL_TREES = 100
_SETTLE_SECONDS = 3.0
_HEADINGS = (
    "connections | offered/s (x capacity) | answered/s | of the peak | refused/s | not sent/s | lost "
    "| p50 ms | p99 ms | p99 ms from sending | most"
)


def main() -> None:
    """Measure the capacity, then every load; a Markdown table, or JSON."""
    arguments = _arguments()
    os.sched_setaffinity(0, {GENERATOR_CORE})
    with tempfile.TemporaryDirectory(prefix="overload-") as folder:
        singles = _singles(Path(folder) / "large", arguments)
        beside = _beside_batches(Path(folder) / "usual", arguments)
    if arguments.json:
        print(json.dumps({"singles": singles, "beside_batches": beside}))
        return
    print(f"| {_HEADINGS} |\n|{' --- |' * 11}")
    print("\n".join(_row(record, singles) for record in singles))
    print("\n| batch callers | single calls/s | p50 ms | p99 ms | most ms | batches |\n|" + " --- |" * 6)
    print("\n".join(_beside_row(record) for record in beside))


def _singles(folder: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Single calls on every number of connections, at every load."""
    records = list[dict[str, Any]]()
    with _server(folder, arguments.trees) as (url, process):
        service = _Service(url, process, arguments.seconds)
        service.under(_MORE_THAN_ANY, _ENOUGH_CONNECTIONS)  # to warm up
        capacity = service.under(_MORE_THAN_ANY, _ENOUGH_CONNECTIONS)["good"]
        print(f"capacity: {capacity:.0f} calls a second", file=sys.stderr, flush=True)
        for connections in arguments.connections:
            for load in arguments.loads:
                records.append({"load": load, **service.under(load * capacity, connections)})
                print(_row(records[-1], records), file=sys.stderr, flush=True)
    return records


def _beside_batches(folder: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Single calls at a low rate, alone and beside callers of large batches, on a forest of usual size."""
    rows = folder / "batch.json"
    folder.mkdir()
    rows.write_text(json.dumps({"transactions": [json.loads(BODY.read_text())] * arguments.batch_rows}))
    records = list[dict[str, Any]]()
    with _server(folder, _USUAL_TREES) as (url, process):
        service = _Service(url, process, arguments.seconds)
        for callers in (0, arguments.batch_callers):
            # on the measuring core too, which they may not take from who measures
            command = [
                "nice",
                "-n",
                "19",
                sys.executable,
                "-m",
                "benchmarks.serving.batches",
                f"{url}/predict_batch",
                str(rows),
            ]
            seconds = str(arguments.seconds + 2 * _SETTLE_SECONDS)
            batches = subprocess.Popen([*command, str(callers), seconds], stdout=subprocess.PIPE, text=True, cwd=ROOT)
            time.sleep(_SETTLE_SECONDS)
            record = service.under(_LOW_RATE, 64)
            records.append({"batch_callers": callers, **record, "batches": json.loads(batches.communicate()[0])})
            print(_beside_row(records[-1]), file=sys.stderr, flush=True)
    return records


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=_integers, default=[64, 1_000, 16_000], help="joined by commas")
    parser.add_argument("--loads", type=_numbers, default=[0.5, 1, 2, 4], help="times the capacity, joined by commas")
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    parser.add_argument("--trees", type=int, default=24_000, help="of the forest")
    parser.add_argument("--batch-callers", type=int, default=64)
    parser.add_argument("--batch-rows", type=int, default=10_000)
    parser.add_argument("--json", action="store_true", help="print the records instead of the table")
    return parser.parse_args()


def _integers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


class _Service:
    """A running service, and what loads cost it."""

    def __init__(self, url: str, process: psutil.Process, seconds: float) -> None:
        self._url, self._process, self._seconds = url, process, seconds

    def under(self, rate: float, connections: int) -> dict[str, Any]:
        """What comes of ``rate`` calls a second."""
        return uvloop.run(self._under(rate, connections))

    async def _under(self, rate: float, connections: int) -> dict[str, Any]:
        crowd = Crowd(f"{self._url}/predict", BODY.read_bytes(), rate, self._seconds)
        await crowd.open(connections)
        before = self._cpu_seconds()
        came = await crowd.run()
        good = came.statuses[200]
        return {
            "connections": connections,
            "seconds": came.seconds,
            "offered": came.calls / came.seconds,
            "good": good / came.seconds,
            "refused": (came.statuses.total() - good) / came.seconds,
            "given_up": came.given_up / came.seconds,
            "lost": came.lost,
            "p50_ms": percentile(came.from_due, 50) * 1e3,
            "p99_ms": percentile(came.from_due, 99) * 1e3,
            "sent_p99_ms": percentile(came.from_sent, 99) * 1e3,
            "sent_max_ms": percentile(came.from_sent, 100) * 1e3,
            "cpu_share": (self._cpu_seconds() - before) / came.seconds,
        }

    def _cpu_seconds(self) -> float:
        every = [self._process, *self._process.children(recursive=True)]
        return sum(sum(one.cpu_times()[:2]) for one in every)


def _row(record: Mapping[str, Any], records: list[dict[str, Any]]) -> str:
    peak = max(one["good"] for one in records)
    cells = [
        f"{record['connections']:,}",
        f"{record['offered']:,.0f} ({record['load']:g})",
        f"{record['good']:,.0f}",
        f"{record['good'] / peak:.2f}",
        f"{record['refused']:,.0f}",
        f"{record['given_up']:,.0f}",
        str(record["lost"]),
        *(f"{record[name]:,.0f}" for name in ("p50_ms", "p99_ms", "sent_p99_ms", "sent_max_ms")),
    ]
    return f"| {' | '.join(cells)} |"


def _beside_row(record: Mapping[str, Any]) -> str:
    batches = ", ".join(f"{count} of {status}" for status, count in sorted(record["batches"].items())) or "none"
    figures = (f"{record[name]:,.1f}" for name in ("p50_ms", "p99_ms", "sent_max_ms"))
    return f"| {record['batch_callers']} | {record['good']:,.0f} | {' | '.join(figures)} | {batches} |"


@contextmanager
def _server(folder: Path, trees: int) -> Iterator[tuple[str, psutil.Process]]:
    """A service of one worker on its core, with a forest of so many trees; its URL and process."""
    home = folder / "bentoml"
    home.mkdir(parents=True)
    env = clean_environment(BENTOML_HOME=str(home), FRAUD_WORKERS="1", FRAUD_MAX_CONNECTIONS="18000")
    subprocess.run([sys.executable, "-m", "benchmarks.serving.heavy", str(trees)], env=env, cwd=ROOT, check=True)
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "service:FraudDetector", "--host", "127.0.0.1"]
    process = Process("bentoml", [*_pinned(SERVER_CORE), *command, "--port", str(port)], folder, env, ROOT)
    process.start(lambda: answers(f"http://127.0.0.1:{port}/readyz"), 120)
    try:
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.stop()


def _pinned(core: int) -> list[str]:
    """What starts a command on ``core`` alone, where there are more and ``taskset`` is at hand."""
    return ["taskset", "-c", str(core)] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []


if __name__ == "__main__":
    main()
