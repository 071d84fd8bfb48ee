"""Whether a lone caller waits longer after a burst than before it: one caller, then 64, then one again, in rounds.

python -m benchmarks.burst http://127.0.0.1:3000/predict sample_transaction.json

A batcher that learns from the burst how long to hold calls back makes the lone caller wait. Needs wrk and a running
service; start that with FRAUD_SHORT_CUT=false to see BentoML's own path.
"""

import argparse
import statistics
from pathlib import Path

from benchmarks.serving import load

CALLERS = 64


def main() -> None:
    """Run the rounds, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("body", type=Path, help="file with the JSON of a transaction")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each load")
    arguments = parser.parse_args()
    try:
        load.local(arguments.url)
    except ValueError as error:
        parser.error(str(error))
    rounds = []
    for _ in range(arguments.rounds):
        rounds.append(
            [load.closed(arguments.url, arguments.body, callers, arguments.seconds) for callers in (1, CALLERS, 1)]
        )
    print("| callers | calls a second | p50 ms | p99 ms | errors |\n| --- | --- | --- | --- | --- |")
    for name, runs in zip(("1, before", str(CALLERS), "1, after"), zip(*rounds, strict=True), strict=True):
        rate, p50, p99 = (
            statistics.median(figures)
            for figures in zip(*((run.requests / run.seconds, run.p50_ms, run.p99_ms) for run in runs), strict=True)
        )
        print(f"| {name} | {rate:,.0f} | {p50:.3f} | {p99:.2f} | {sum(run.errors for run in runs)} |")


if __name__ == "__main__":
    main()
