"""Is a model as good out of fold, and does a category that means nothing do harm? ``python -m benchmarks.categories``.

Average precision and ROC AUC of scores by forests that were fitted without the row, and without learning anything of
categories from it; ``--noise LEVELS`` adds a category of so many random levels, which should change nothing.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from fraud import schema
from training import data, split
from training.dataset import Dataset, combine
from training.run import out_of_fold
from training.train import DEFAULTS

NOISE = "noise"


def with_noise(dataset: Dataset, levels: int) -> Dataset:
    """The same rows with a category more, of ``levels`` levels at random."""
    document = dataset.schema.document()
    document["columns"] = {**document["columns"], NOISE: {"kind": "category"}}
    own = schema.of_document(document, "the schema with noise")
    frame = dataset.frame(np.arange(dataset.size))
    texts = np.char.add("n", np.random.default_rng(1).integers(0, levels, dataset.size).astype(str))
    frame[NOISE] = pd.Series(texts.astype(object))
    frame[str(own.roles.label)] = dataset.labels
    return combine([frame], dataset.sources, own, synthetic=dataset.synthetic)


def figures(dataset: Dataset, trees: int, folds: int, seed: int) -> tuple[float, float]:
    """Average precision and ROC AUC of out-of-fold scores."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    everything = np.arange(dataset.size)
    recipe = DEFAULTS.model_copy(update={"trees": trees, "seed": seed})
    scores = out_of_fold(dataset, everything, split.folds(dataset, everything, folds, seed), recipe)
    return average_precision_score(dataset.labels, scores), roc_auc_score(dataset.labels, scores)


def main() -> None:
    """Print a line for each seed, and their mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=["sample"])
    parser.add_argument("--schema", type=Path)
    parser.add_argument("--noise", type=int, metavar="LEVELS", help="add a category that means nothing")
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    own = schema.read(arguments.schema) if arguments.schema else schema.default()
    dataset = data.load(arguments.data, own)
    if arguments.noise:
        dataset = with_noise(dataset, arguments.noise)
    found = [figures(dataset, arguments.trees, arguments.folds, seed) for seed in range(arguments.seeds)]
    for seed, (precision, area) in enumerate(found):
        print(f"seed {seed}: average precision {precision:.4f}, ROC AUC {area:.4f}", flush=True)
    precision, area = np.mean(found, axis=0)
    print(f"mean of {len(found)}: average precision {precision:.4f}, ROC AUC {area:.4f}")


if __name__ == "__main__":
    main()
