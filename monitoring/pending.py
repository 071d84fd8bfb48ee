"""Observations of a histogram that are counted here first, and handed over together."""

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike
from prometheus_client import Histogram

from monitoring.multiprocess import HistogramParts, parts_of

T = TypeVar("T")


class Pending:
    """Counts values for ``histogram``, which alone would take one at a time (4 us each).

    Where its parts cannot be had, ``problem`` says why; the values then wait as they are and are observed one by one:
    slower, and as exact.
    """

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._uncounted: list[float] = []
        self.problem: str | None = None
        try:
            self._parts: HistogramParts | None = parts_of(histogram)
        except LookupError as error:
            self._parts, self.problem = None, str(error.args[0])
            return
        self._edges = np.asarray(self._parts.edges)
        self._counts = np.zeros(len(self._parts.buckets), dtype=np.int64)
        self._total = 0.0

    def add(self, values: ArrayLike) -> None:
        """Count values."""
        numbers = np.asarray(values, dtype=np.float64)
        if self._parts is None:
            self._uncounted += numbers.tolist()
            return
        self._counts += np.bincount(np.searchsorted(self._edges, numbers), minlength=len(self._counts))
        self._total += float(numbers.sum())

    def hand_over(self) -> None:
        """Add what was counted to the histogram."""
        if self._parts is None:
            for value in taken(self._uncounted):
                self._histogram.observe(value)
            return
        for bucket, count in zip(self._parts.buckets, self._counts, strict=True):
            if count:
                bucket.inc(int(count))
        self._parts.sum.inc(self._total)
        self._counts[:] = 0
        self._total = 0.0


def taken(waiting: list[T]) -> list[T]:
    """What waits, removed; the list itself stays, for other threads append to it without a lock."""
    items = waiting[:]
    del waiting[: len(items)]
    return items
