"""What forests cost, one beside another: CPU of a call and of a row of a file, in turn.

python -m benchmarks.forests.cost --data creditcard.parquet --models VERSION OTHER

Of a call it is that of the whole process tree of a service with one worker, of a row what ``fraud score`` spends when
all is loaded. Models are of the local store.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import pyarrow.parquet

from benchmarks.bulk import timed
from benchmarks.history.service import free_port, serving
from benchmarks.serving.load import closed
from benchmarks.serving.measure import Tree

_SCORE = """
import sys, json, time
from pathlib import Path
from fraud import store
from fraud.bulk.one_file import score_file
model = "fraud_detector:" + sys.argv[3]
store.open_served(store.get(model))
started = time.process_time()
rows = score_file(Path(sys.argv[1]), Path(sys.argv[2]), model)["rows"]
print(json.dumps({"us": 1e6 * (time.process_time() - started) / rows}))
"""


def main() -> None:
    """Print a table: microseconds of CPU, latencies, and the medians of pairs as multiples of the first model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a Parquet file")
    parser.add_argument("--models", nargs="+", required=True, help="versions of fraud_detector")
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made, ExitStack() as stack:
        folder = Path(made)
        row = pyarrow.parquet.read_table(asked.data).slice(0, 1).to_pylist()[0]
        body = folder / "body.json"
        body.write_text(json.dumps({name: value for name, value in row.items() if name != "Class"}))
        there = {one: stack.enter_context(_started(one, folder)) for one in asked.models}
        print(f"CPU in us, medians of {asked.pairs} rounds in turn\n")
        print(f"| | {' | '.join(asked.models)} | of the first |\n| --- |{' --- |' * (1 + len(there))}")
        for tree, url in there.values():
            _call(tree, url, body, 64, asked.seconds)
        for count in asked.callers:
            _tell(f"a call, {count} callers", [
                {name: _call(*one, body, count, asked.seconds) for name, one in there.items()}
                for _ in range(asked.pairs)
            ])  # fmt: skip
        output = str(folder / "scores.parquet")
        _tell("a row of a file", [
            {name: (timed(["-c", _SCORE, str(asked.data), output, name])["us"], 0.0) for name in there}
            for _ in range(asked.pairs)
        ])  # fmt: skip


@contextmanager
def _started(version: str, folder: Path) -> Iterator[tuple[Tree, str]]:
    port = free_port()
    with serving(version, folder, port, {"FRAUD_WORKERS": "1"}) as server:
        yield Tree(server.pid), f"http://127.0.0.1:{port}/predict"


def _call(tree: Tree, url: str, body: Path, callers: int, seconds: int) -> tuple[float, float]:
    """Microseconds of CPU a call, and p99 in milliseconds. Raises SystemExit where a call was not answered."""
    before = tree.settle()
    load = closed(url, body, callers, seconds)
    if load.errors:
        sys.exit(f"{load.errors} of {load.requests} calls were not answered")
    return 1e6 * (tree.settle() - before) / load.requests, load.p99_ms


def _tell(what: str, rounds: list[dict[str, tuple[float, float]]]) -> None:
    first, *_ = rounds[0]
    cells = []
    for name in rounds[0]:
        spent, late = (median(one[name][place] for one in rounds) for place in (0, 1))
        cells.append(f"{spent:.2f}" + (f", p99 {late:.1f} ms" if late else ""))
    ratios = [median(one[name][0] / one[first][0] for one in rounds) for name in rounds[0] if name != first]
    print(f"| {what} | {' | '.join(cells)} | {', '.join(f'{one:.2f}' for one in ratios)} |", flush=True)


if __name__ == "__main__":
    main()
