"""What histories are worth, by the Handbook's protocol: ``python -m benchmarks.handbook FILE``.

Fits on a week, tests on the week after the next, with cards left out that were known to be compromised. The book's own
figures for a random forest, fitted from 2018-07-25 on: ROC AUC 0.867, average precision 0.658, card precision@100
0.287. ``--plot`` draws average precision with and without histories.
"""

import argparse
import json
import sys
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.handbook.protocol import Days, card_precision, divide
from fraud import schema
from fraud.errors import DataError
from fraud.features import FeaturePath
from fraud.inputs.keys import KeyHasher
from training import data, encode, train
from training.dataset import Dataset
from training.train import DEFAULTS

STARTS = (date(2018, 7, 25), date(2018, 7, 11), date(2018, 6, 27))
SECRET = "of no secret: these customers are made up"  # noqa: S105
_CARD = "CUSTOMER_ID"
MISSING_SHARES = (0.0, 0.02, 0.1)

Figures = dict[str, Any]


class Judged:
    """One division of the rows, and the figures of forests on it."""

    def __init__(self, dataset: Dataset, start: date) -> None:
        self.dataset, self.start = dataset, start
        times, others = dataset.times, dataset.others
        if times is None or others is None:
            raise DataError("the Handbook's rows have times and customers")
        self.cards = pd.factorize(others[_CARD])[0].astype(np.int64)
        self.frauds = dataset.labels == 1
        self.days: Days = divide(times, self.cards, self.frauds, start)
        self.path = FeaturePath(dataset.schema)
        self.features = encode.features_of(self.path, dataset, self.days.testing)
        self.wide = len(dataset.schema.histories)

    def with_default_forest(self, *, histories: bool) -> Figures:
        """scikit-learn's own defaults, on what the book has."""
        of_the_book = [at for at, name in enumerate(self.path.names) if ".ratio." not in name]
        used = of_the_book if histories else [*range(len(self.path.names) - self.wide)]
        features = encode.features_of(self.path, self.dataset, self.days.fitting)
        forest = RandomForestClassifier(random_state=0, n_jobs=-1)
        forest.fit(features[:, used], self.dataset.labels[self.days.fitting])
        scores = forest.set_params(n_jobs=1).predict_proba(self.features[:, used])[:, 1]
        return self._figures("scikit-learn's defaults", scores, histories=histories)

    def with_own_forest(self, missing: float) -> list[Figures]:
        """The product's, fitted with a share of histories taken away: judged with all of them, and with none."""
        _, features = encode.fit(
            self.dataset, self.days.fitting, DEFAULTS.model_copy(update={"missing_histories": missing})
        )
        forest = train.fit(features, self.dataset.labels[self.days.fitting], DEFAULTS)
        without = self.features.copy()
        without[:, -self.wide :] = np.nan
        return [
            self._figures("the product's", train.score(forest, rows), histories=there, missing_histories=missing)
            for rows, there in ((self.features, True), (without, False))
        ]

    def _figures(self, forest: str, scores: NDArray[np.float64], **facts: object) -> Figures:
        testing, frauds = self.days.testing, self.frauds[self.days.testing]
        return {
            "fitted_from": self.start.isoformat(),
            "forest": forest,
            **facts,
            "roc_auc": round(float(roc_auc_score(frauds, scores)), 3),
            "mean_score": round(float(scores.mean()), 5),
            "average_precision": round(float(average_precision_score(frauds, scores)), 3),
            "card_precision_at_100": round(card_precision(scores, self.cards[testing], frauds, self.days.day), 3),
            "test_rows": len(testing),
            "test_frauds": int(frauds.sum()),
        }


def judge(dataset: Dataset, start: date) -> list[Figures]:
    """All figures of one division."""
    judged = Judged(dataset, start)
    found = [judged.with_default_forest(histories=there) for there in (False, True)]
    return found + [figures for share in MISSING_SHARES for figures in judged.with_own_forest(share)]


def plot(found: list[Figures], target: Path) -> None:
    """Average precision with and without histories, by week."""
    from matplotlib import pyplot

    starts = list(dict.fromkeys(str(one["fitted_from"]) for one in found))
    bars = {
        "amount and clock alone": ("scikit-learn's defaults", False, None),
        "the book's windows, scikit-learn's defaults": ("scikit-learn's defaults", True, None),
        "with the amount over its mean, the product's forest": ("the product's", True, DEFAULTS.missing_histories),
        "the same forest while the store is away": ("the product's", False, DEFAULTS.missing_histories),
    }
    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    for number, (label, (forest, there, share)) in enumerate(bars.items()):
        heights = [
            next(
                one["average_precision"]
                for one in found
                if (one["fitted_from"], one["forest"], one["histories"]) == (start, forest, there)
                and one.get("missing_histories") == share
            )
            for start in starts
        ]
        places = np.arange(len(starts)) + 0.2 * (number - 1.5)
        drawn = axes.bar(places, heights, 0.19, label=label, color=("#b8bec7", "#7aa6d6", "#2264a5", "#e0a458")[number])
        axes.bar_label(drawn, fmt="%.2f", fontsize=8, padding=1)
    axes.set_xticks(range(len(starts)), [f"fitted {start}, tested two weeks later" for start in starts], fontsize=8)
    axes.set_ylabel("average precision")
    axes.set_ylim(0, 1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper left")
    figure.savefig(target, dpi=110)


def main() -> None:
    """Print one JSON document; progress on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the Handbook's transactions, as one Parquet file")
    parser.add_argument("--from", dest="starts", type=date.fromisoformat, nargs="+", default=STARTS, metavar="DAY")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a picture, such as histories.png")
    arguments = parser.parse_args()
    text = (files("benchmarks.handbook") / "handbook.toml").read_text("utf-8")
    dataset = data.load([arguments.data], schema.parse(text, "handbook.toml"), KeyHasher(SECRET))
    print(f"{dataset.size} rows, histories counted", file=sys.stderr, flush=True)
    found: list[Figures] = []
    for start in arguments.starts:
        for figures in judge(dataset, start):
            print(figures, file=sys.stderr, flush=True)
            found.append(figures)
    if arguments.plot:
        plot(found, arguments.plot)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
