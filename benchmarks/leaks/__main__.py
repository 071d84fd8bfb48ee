"""What resampling before the split reports, and what is true: ``python -m benchmarks.leaks --data creditcard.parquet``.

The same forest three times. Leaking: all rows are resampled with SMOTE until half of them are frauds, then 20 % are
held out, most of them made up between rows that were fitted on. Honest: 20 % are held out first, and the fitting rows
are resampled, or left as they are. tests/training/judging/leaks.py is the check that catches the first.
"""

import argparse
import sys
import time

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.leaks.smote import smote
from fraud.features import transform
from fraud.schema import default
from training import data, split, train
from training.train import DEFAULTS


def main() -> None:
    """Fit and judge, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--trees", type=int, default=DEFAULTS.trees)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=-1)
    arguments = parser.parse_args()
    dataset = data.load(arguments.data, default())
    parts = split.split(dataset, "stratified", seed=arguments.seed)
    features, labels = transform(dataset.rows), dataset.labels
    fitted, held = (features[parts.train], labels[parts.train]), (features[parts.test], labels[parts.test])
    rows, own = smote(features, labels, arguments.seed)
    is_held = np.random.default_rng(arguments.seed).random(len(rows)) < split.TEST_SHARE
    ways = {
        "SMOTE, then the split": ((rows[~is_held], own[~is_held]), (rows[is_held], own[is_held])),
        "the split, then SMOTE": (smote(*fitted, arguments.seed), held),
        "the split alone": (fitted, held),
    }
    recipe = DEFAULTS.model_copy(update={"trees": arguments.trees, "seed": arguments.seed})
    print("| order | test rows | frauds among them | average precision | ROC AUC |\n| --- | --- | --- | --- | --- |")
    for name, (fitting, test) in ways.items():
        started = time.perf_counter()
        scores = train.score(train.fit(*fitting, recipe, jobs=arguments.jobs), test[0])
        precision, area = average_precision_score(test[1], scores), roc_auc_score(test[1], scores)
        print(f"| {name} | {len(scores)} | {test[1].sum()} | {precision:.4f} | {area:.4f} |", flush=True)
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
