"""Other forests by the Handbook's protocol: ``python -m benchmarks.handbook.recipes FILE --recipe best.toml``.

Average precision on the week after the next, and the paired differences from the defaults: over rows drawn anew, and
over seeds of forests.
"""

import argparse
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.forests.__main__ import scores_by
from benchmarks.handbook.__main__ import SECRET, STARTS, Judged
from fraud import schema
from fraud.inputs.keys import KeyHasher
from training import data
from training.judging import paired
from training.train import DEFAULTS
from training.tuning import recipe_file


def main() -> None:
    """Print a table, a line a week and recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the Handbook's transactions, as one Parquet file")
    parser.add_argument("--recipe", type=Path, nargs="+", required=True, help="TOML files, beside the defaults")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=-1)
    asked = parser.parse_args()
    text = (files("benchmarks.handbook") / "handbook.toml").read_text("utf-8")
    dataset = data.load([asked.data], schema.parse(text, "handbook.toml"), KeyHasher(SECRET))
    recipes = {"defaults": DEFAULTS} | {path.stem: recipe_file.read(path) for path in asked.recipe}
    print("| fitted from | recipe | average precision, each seed | less the defaults |\n| --- | --- | --- | --- |")
    for start in STARTS:
        judged = Judged(dataset, start)
        labels, found = dataset.labels[judged.days.testing], dict[str, NDArray[np.float64]]()
        for name, recipe in recipes.items():
            scores = scores_by(dataset, recipe, asked.jobs)
            found[name] = np.array([scores(judged.days.fitting, judged.days.testing, seed) for seed in asked.seeds])
            print(f"{start} {name}: fitted", file=sys.stderr, flush=True)
            each = [paired.alone(one, labels, recipe.target_precision, resamples=1)[0].value for one in found[name]]
            less, _ = paired.compare(found[name], found["defaults"], labels, recipe.target_precision)
            told = "" if name == "defaults" else f"{less.value:+.4f} [{less.low:+.4f}, {less.high:+.4f}]"
            print(f"| {start} | {name} | {' '.join(f'{one:.4f}' for one in each)} | {told} |", flush=True)


if __name__ == "__main__":
    main()
