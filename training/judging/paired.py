"""Two models on the same rows: how much better one is, and how sure that is.

The paired bootstrap draws rows once for both models, so what is hard for both cancels out. Legitimate rows that both
models score alike are interchangeable and drawn as one group, each fraud by itself.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.judging.ranking import RESAMPLES, Curve, Floats, Ranking, bootstrap

Labels = NDArray[np.int8]


@dataclass(frozen=True)
class Difference:
    """Challenger minus champion of one figure: the value on the rows, and what resampled rows say of it.

    ``bound`` is the one-sided 95 % lower bound, ``low`` to ``high`` the two-sided 95 % interval.
    """

    challenger: float
    champion: float
    bound: float
    low: float
    high: float

    @property
    def value(self) -> float:
        """The difference on the rows themselves."""
        return self.challenger - self.champion


def compare(
    challenger: Floats,
    champion: Floats,
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
    rankings = [Ranking(column, is_fraud) for column in groups.T]

    def figures(counts: Floats) -> Floats:
        """``(2 models, 2 figures)``."""
        return np.array([_figures(ranking.curve(counts[ranking.order]), precision) for ranking in rankings])

    drawn = np.array([figures(drawn) for drawn in bootstrap(counts, resamples, seed)])
    bounds = np.quantile(drawn[:, 0] - drawn[:, 1], [0.05, 0.025, 0.975], axis=0)
    average, recall = map(Difference, *figures(counts).tolist(), *bounds.tolist())
    return average, recall


def _figures(curve: Curve, precision: float) -> tuple[float, float]:
    """Average precision, and the highest recall at ``precision`` or better."""
    reached = curve.recall[curve.precision >= precision]
    return curve.average_precision, float(reached.max()) if len(reached) else 0.0
