"""Rows a second and CPU a row of POST /predict_batch, by one caller, for batches of several sizes.

python -m benchmarks.batch http://127.0.0.1:3000 sample_transaction.json --pid PID

PID is the server's (of ``bentoml serve``): the CPU time of its whole process tree counts, with what it counts and logs
after the answers.
"""

import argparse
import time
from pathlib import Path

import httpx

from benchmarks.serving.load import local
from benchmarks.serving.measure import Tree

SIZES = (100, 1_000, 10_000)
WARM_UP = 3  # calls


def main() -> None:
    """Measure, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="of the service, without a path")
    parser.add_argument("body", type=Path, help="file with the JSON of a transaction")
    parser.add_argument("--pid", type=int, required=True, help="of the server")
    parser.add_argument("--seconds", type=float, default=4, help="of each size")
    arguments = parser.parse_args()
    try:
        local(arguments.url)
    except ValueError as error:
        parser.error(str(error))
    tree = Tree(arguments.pid)
    print("| rows a call | rows a second | CPU-us a row | rows a CPU second |\n| --- | --- | --- | --- |")
    with httpx.Client(base_url=arguments.url, trust_env=False, timeout=60) as client:
        for size in SIZES:
            body = f'{{"transactions": [{", ".join([arguments.body.read_text()] * size)}]}}'.encode()
            rows, seconds, cpu = measured(client, body, tree, arguments.seconds)
            rows *= size
            print(f"| {size:,} | {rows / seconds:,.0f} | {cpu / rows * 1e6:.1f} | {rows / cpu:,.0f} |", flush=True)


def measured(client: httpx.Client, body: bytes, tree: Tree, seconds: float) -> tuple[int, float, float]:
    """Calls, wall seconds and CPU seconds."""

    def call() -> None:
        headers = {"content-type": "application/json"}
        client.post("/predict_batch", content=body, headers=headers).raise_for_status()

    for _ in range(WARM_UP):
        call()
    before, started, calls = tree.settle(), time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        call()
        calls += 1
    return calls, time.perf_counter() - started, tree.settle() - before


if __name__ == "__main__":
    main()
