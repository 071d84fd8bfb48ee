"""Two models on the same rows: how much better one is, and how sure that is.

The paired bootstrap draws rows once for both models, so what is hard for both cancels out. Legitimate rows that both
models score alike are interchangeable and drawn as one group, each fraud by itself.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000

Scores = NDArray[np.float64]
Labels = NDArray[np.int8]


@dataclass(frozen=True)
class Difference:
    """Challenger minus champion of one figure: the value on the rows, and the one-sided 95 % lower bound."""

    challenger: float
    champion: float
    bound: float

    @property
    def value(self) -> float:
        """The difference on the rows themselves."""
        return self.challenger - self.champion


class _Ranking:
    """One model's order of the groups; figures for any counts of rows per group."""

    def __init__(self, scores: Scores, fraud: NDArray[np.bool_]) -> None:
        self.order = np.argsort(-scores, kind="stable")
        self.fraud = fraud[self.order]
        ordered = scores[self.order]
        self.last_of_score = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)

    def curve(self, counts: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Precision and recall at each distinct score, from the highest down."""
        ordered = counts[self.order]
        alerts = np.cumsum(ordered)[self.last_of_score]
        found = np.cumsum(ordered * self.fraud)[self.last_of_score]
        return found / np.maximum(alerts, 1), found / max(found[-1], 1)


def compare(
    challenger: Scores,
    champion: Scores,
    labels: Labels,
    precision: float,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[Difference, Difference]:
    """Difference in average precision, and in recall at equal precision.

    ``challenger`` and ``champion``: scores ``(n,)`` of the same rows, ``labels`` ``(n,)`` of 0 and 1. Recall at equal
    precision is the highest recall that each model reaches at ``precision`` or better.
    """
    fraud = labels == 1
    pairs = np.column_stack([challenger, champion])
    legitimate, sizes = np.unique(pairs[~fraud], axis=0, return_counts=True)
    groups = np.concatenate([pairs[fraud], legitimate])
    is_fraud = np.arange(len(groups)) < fraud.sum()
    counts = np.concatenate([np.ones(fraud.sum()), sizes]).astype(np.float64)
    rankings = [_Ranking(column, is_fraud) for column in groups.T]

    def figures(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(2 models, 2 figures)``."""
        return np.array([_figures(*ranking.curve(counts), precision) for ranking in rankings])

    random, rows = np.random.default_rng(seed), len(labels)
    drawn = np.array([figures(random.multinomial(rows, counts / rows).astype(float)) for _ in range(resamples)])
    bounds = np.quantile(drawn[:, 0] - drawn[:, 1], 0.05, axis=0)
    ours, theirs = figures(counts)
    return tuple(  # type: ignore[return-value] # two of them
        Difference(float(ours[number]), float(theirs[number]), float(bounds[number])) for number in range(2)
    )


def _figures(precisions: NDArray[np.float64], recalls: NDArray[np.float64], target: float) -> tuple[float, float]:
    average_precision = float((precisions * np.diff(recalls, prepend=0)).sum())
    reached = recalls[precisions >= target]
    return average_precision, float(reached.max()) if len(reached) else 0.0
