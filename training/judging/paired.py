"""Two models on the same rows: how much better one is, and how sure that is.

The paired bootstrap draws rows once for both models, so what is hard for both cancels out. Legitimate rows that both
models score alike are interchangeable and drawn as one group, each fraud by itself.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from fraud.manifest import Figure
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

    def as_dict(self) -> dict[str, float]:
        """Plain values for JSON, the difference itself among them."""
        return {"value": self.value} | asdict(self)


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

    ``challenger`` and ``champion``: scores ``(n,)`` of the same rows, ``labels`` ``(n,)`` of 0 and 1. Scores
    ``(repeats, n)`` are of as many repeats on the same rows: what is compared is the mean of their figures. Recall at
    equal precision is the highest recall that each model reaches at ``precision`` or better.
    """
    figures, drawn = _figures_of([challenger, champion], labels, precision, seed, resamples)
    bounds = np.quantile(drawn[:, 0] - drawn[:, 1], [0.05, 0.025, 0.975], axis=0)
    average, recall = map(Difference, *figures.tolist(), *bounds.tolist())
    return average, recall


def alone(
    scores: Floats, labels: Labels, precision: float, *, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[Figure, Figure]:
    """The two figures of one model as ``compare`` has them, each with its 95 % interval."""
    figures, drawn = _figures_of([scores], labels, precision, seed, resamples)
    bounds = np.quantile(drawn[:, 0], [0.025, 0.975], axis=0)
    average, recall = (
        Figure(value=value, low=low, high=high)
        for value, low, high in zip(*figures.tolist(), *bounds.tolist(), strict=True)
    )
    return average, recall


def _figures_of(
    models: Sequence[Floats], labels: Labels, precision: float, seed: int, resamples: int
) -> tuple[Floats, Floats]:
    """Figures ``(models, 2)`` of the rows themselves, and of each resample ``(resamples, models, 2)``."""
    fraud = labels == 1
    columns = np.vstack(models).T
    legitimate, sizes = np.unique(columns[~fraud], axis=0, return_counts=True)
    groups = np.concatenate([columns[fraud], legitimate])
    is_fraud = np.arange(len(groups)) < fraud.sum()
    counts = np.concatenate([np.ones(fraud.sum()), sizes]).astype(np.float64)
    rankings = [Ranking(column, is_fraud) for column in groups.T]

    def figures(counts: Floats) -> Floats:
        each = np.array([_figures(ranking.curve(counts[ranking.order]), precision) for ranking in rankings])
        means: Floats = each.reshape(len(models), -1, 2).mean(axis=1)
        return means

    return figures(counts), np.array([figures(drawn) for drawn in bootstrap(counts, resamples, seed)])


def _figures(curve: Curve, precision: float) -> tuple[float, float]:
    """Average precision, and the highest recall at ``precision`` or better."""
    reached = curve.recall[curve.precision >= precision]
    return curve.average_precision, float(reached.max()) if len(reached) else 0.0
