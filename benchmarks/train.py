"""Train and judge the defaults over fixed seeds and both protocols; print the table of ``docs/results.md``.

python -m benchmarks.train --data creditcard.csv --seeds 0 1 2 3 4
"""

import argparse
import resource
import statistics
import time

from fraud.manifest import Figure, Metrics
from fraud.schema import default
from training import data
from training.console import Steps
from training.dataset import Dataset
from training.run import TrainingPlan, judge
from training.split import Protocol
from training.train import DEFAULTS

FIGURES = ("average_precision", "roc_auc", "precision", "recall", "precision_at_100", "amount_caught_share")


def main() -> None:
    """Run every seed, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    arguments = parser.parse_args()
    dataset = data.load(arguments.data, default())
    print(f"{dataset.size} rows, {dataset.frauds} frauds, {dataset.duplicates_dropped} duplicates dropped\n")
    print("| split | seed | test frauds | threshold | " + " | ".join(FIGURES) + " | seconds |")
    print("| --- " * (len(FIGURES) + 5) + "|")
    stratified = [_row(dataset, "stratified", seed) for seed in arguments.seeds]
    print("| stratified | mean (range) | | | " + " | ".join(_summary(stratified, name) for name in FIGURES) + " | |")
    _row(dataset, "time", arguments.seeds[0])
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nPeak memory of the process: {peak_mib:.0f} MiB")


def _row(dataset: Dataset, protocol: Protocol, seed: int) -> Metrics:
    started = time.perf_counter()
    judged = judge(
        TrainingPlan([], protocol=protocol, recipe=DEFAULTS.model_copy(update={"seed": seed})), dataset, Steps()
    )
    seconds = time.perf_counter() - started
    frauds = int(dataset.labels[judged.parts.test].sum())
    cells = " | ".join(_cell(getattr(judged.metrics, name)) for name in FIGURES)
    print(f"| {protocol} | {seed} | {frauds} | {judged.choice.threshold:.3f} | {cells} | {seconds:.0f} |", flush=True)
    return judged.metrics


def _cell(figure: Figure) -> str:
    if figure.value is None:
        return "-"
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def _summary(rows: list[Metrics], name: str) -> str:
    values = [value for row in rows if (value := getattr(row, name).value) is not None]
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    main()
