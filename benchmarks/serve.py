"""Serve one transaction by every contestant, in turn, on the same forest and machine; write tables and a picture.

python -m benchmarks.serve --output docs/speed
python -m benchmarks.serve --model fraud_detector:latest --data creditcard.parquet --rounds 5 --seconds 10
python -m benchmarks.serve --quick --contestants service-2,floor-2

Loads go to 127.0.0.1 only. Needs wrk. Exit code 1 when a contestant could not run.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.serving import contest, machine, report
from benchmarks.serving.contestants import every
from benchmarks.serving.contestants.contestant import Contestant
from benchmarks.serving.environments import NotRunError
from benchmarks.serving.forests import Forests, prepare
from benchmarks.serving.load import STEADY
from benchmarks.serving.results import Results
from fraud.errors import FraudError

CONCURRENCY = (1, 8, 64)


def main() -> int:
    """Run round after round; what is there is written after each, and so survives an interruption."""
    arguments = _arguments()
    contestants = _chosen(arguments.contestants)
    loads = contest.Loads(arguments.concurrency, arguments.seconds, min(2, arguments.seconds))
    results: Results = {
        "machine": machine.describe(machine.command_line("benchmarks.serve")),
        "rounds": 0,
        "seconds": arguments.seconds,
        "loads": [*map(str, arguments.concurrency), STEADY],
        "contestants": [{"name": c.name, "title": c.title, "workers": c.workers, "note": c.note} for c in contestants],
        "not_run": {},
        "records": [],
    }
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        forests = prepare(arguments.model, arguments.data, arguments.work or Path(scratch) / "forests")
        results["trees"] = forests.trees
        for number in range(arguments.rounds):
            _round(number, contestants, forests, loads, Path(scratch), results)
            results["rounds"] = number + 1
            report.keep(results)
            report.write(results, arguments.output)
    print(report.markdown(results, "serve.png"))
    return 1 if results["not_run"] else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("build/speed"), help="folder for serve.md and .png")
    parser.add_argument(
        "--model", help="tag of the common forest in the BentoML store; one trained on --data by default"
    )
    parser.add_argument("--data", nargs="+", default=["sample"], help="what the forests are fitted on")
    parser.add_argument("--contestants", default="", help="names, joined by commas; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each load")
    parser.add_argument("--concurrency", type=_numbers, default=CONCURRENCY, help="joined by commas")
    parser.add_argument("--work", type=Path, help="folder that keeps the fitted forests for the next run")
    parser.add_argument("--quick", action="store_true", help="one round of one second: whether everything runs")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds = 1, 1
    return arguments


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _chosen(names: str) -> list[Contestant]:
    """Those that were named, in the order of the tables. Ends the command for an unknown name."""
    contestants = every()
    known = [contestant.name for contestant in contestants]
    chosen = [name for name in names.split(",") if name] or known
    if unknown := set(chosen) - set(known):
        sys.exit(f"error: no contestant {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return [contestant for contestant in contestants if contestant.name in chosen]


def _round(
    number: int,
    contestants: Sequence[Contestant],
    forests: Forests,
    loads: contest.Loads,
    scratch: Path,
    results: Results,
) -> None:
    """Add figures to ``results``, or why there are none. Every other round goes backwards: no one is always first."""
    for contestant in contestants if number % 2 == 0 else reversed(contestants):
        name = contestant.name
        if name in results["not_run"]:
            continue
        print(f"round {number + 1}: {name}", file=sys.stderr, flush=True)
        folder = scratch / f"{number}-{name}"
        folder.mkdir()
        try:
            with contest.turn(contestant, forests, folder) as turn:
                results["records"] += [{"contestant": name, "round": number, **r} for r in turn.records(loads)]
        except NotRunError as error:
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            results["not_run"][name] = str(error)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (FraudError, NotRunError) as error:
        sys.exit(f"error: {error}")
