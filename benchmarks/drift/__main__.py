"""How often the drift thresholds raise false alarms, and what they find; the evidence of ``docs/drift.md``.

python -m benchmarks.drift --data creditcard.parquet

Three measurements, all on rows that the model was not fitted on: windows of the same population drawn at random;
windows by the clock, of the reference's own day and of another; windows with an injected shift.
"""

import argparse
import platform
import time
from importlib.metadata import version

import numpy as np

from benchmarks.drift.chance import false_alarms
from benchmarks.drift.clock import by_the_clock
from benchmarks.drift.detection import detection
from benchmarks.drift.windows import halves, watch
from fraud.schema import default
from training import data
from training.train import DEFAULTS


def main() -> None:
    """Measure, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--trees", type=int, default=50)
    parser.add_argument("--windows", type=int, default=20_000, help="windows drawn of each size for false alarms")
    parser.add_argument("--shifted", type=int, default=200, help="windows drawn of each size for each shift")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=-1)
    arguments = parser.parse_args()
    started = time.perf_counter()
    dataset = data.load(arguments.data, default())
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "scikit-learn"))
    print(
        f"{dataset.size} rows, {dataset.frauds} frauds; {arguments.trees} trees; Python {platform.python_version()}, "
    )
    print(f"{packages}.\n")
    recipe = DEFAULTS.model_copy(update={"trees": arguments.trees, "seed": arguments.seed})
    random = np.random.default_rng(arguments.seed)
    seen, unseen = halves(np.arange(dataset.size), random)
    same = watch(dataset, seen, unseen, recipe, arguments.jobs)
    false_alarms(same, arguments.windows, random)
    by_the_clock(dataset, recipe, arguments.jobs, random)
    detection(same, arguments.shifted, random)
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
