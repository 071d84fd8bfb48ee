"""What a model's order of rows catches at each distinct score: the basis of average precision, ROC AUC and thresholds.

Rows come in groups, each of one class and one score, and each with a number of rows that a bootstrap draws anew; the
order is worked out once. Average precision is the sum over the distinct scores of the precision there times the gain
in recall, without interpolation: scikit-learn's ``average_precision_score``.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 1000


class Ranking:
    """Groups in falling order of score; ``scores`` ``(g,)`` and ``fraud`` ``(g,)`` in any order."""

    def __init__(self, scores: Floats, fraud: NDArray[np.bool_]) -> None:
        self.order = np.argsort(-scores, kind="stable")
        self.scores, self.fraud = scores[self.order], fraud[self.order]
        self._last_of_score = np.append(np.flatnonzero(np.diff(self.scores)), len(self.scores) - 1)

    @property
    def distinct_scores(self) -> Floats:
        """From the highest down; ``curve`` has one place for each."""
        scores: Floats = self.scores[self._last_of_score]
        return scores

    def curve(self, counts: Floats) -> "Curve":
        """What is caught with ``counts`` rows of each group, ``(g,)`` in the order of the ranking."""
        return Curve(np.cumsum(counts * self.fraud)[self._last_of_score], np.cumsum(counts)[self._last_of_score])


@dataclass(frozen=True, eq=False)
class Curve:
    """Frauds caught and alerts given when everything from a score on is called fraud, at each distinct score."""

    caught: Floats
    alerts: Floats

    @property
    def frauds(self) -> float:
        """All there are."""
        return float(self.caught[-1])

    @property
    def rows(self) -> float:
        """All there are."""
        return float(self.alerts[-1])

    @property
    def precision(self) -> Floats:
        """Share of frauds among the alerts; 0 where there is no alert."""
        precision: Floats = self.caught / np.maximum(self.alerts, 1)
        return precision

    @property
    def recall(self) -> Floats:
        """Share of all frauds that is caught; 0 where there is none."""
        return self.caught / max(self.frauds, 1)

    @property
    def average_precision(self) -> float:
        """Precision weighted with the gain of recall at each distinct score."""
        return float((self.precision * gains(self.recall)).sum())


def gains(reached: Floats) -> Floats:
    """What each distinct score adds to a cumulative figure."""
    return np.diff(reached, prepend=0)


def bootstrap(sizes: Floats, count: int, seed: int) -> Iterator[Floats]:
    """How often each group of ``sizes`` rows occurs in each of ``count`` resamples of all rows."""
    random, rows = np.random.default_rng(seed), int(sizes.sum())
    for _ in range(count):
        yield random.multinomial(rows, sizes / rows).astype(np.float64)
