"""Observations of a histogram that are counted here first, and handed over together."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike
from prometheus_client import Histogram

T = TypeVar("T")


class Pending:
    """Counts values into ``buckets``: ascending upper edges, inclusive."""

    def __init__(self, buckets: Sequence[float]) -> None:
        self._edges = np.asarray(buckets)
        self._counts = np.zeros(len(buckets) + 1, dtype=np.int64)
        self._sum = 0.0

    def add(self, values: ArrayLike) -> None:
        """Count values."""
        given = np.asarray(values, dtype=np.float64)
        self._counts += np.bincount(np.searchsorted(self._edges, given), minlength=len(self._counts))
        self._sum += float(given.sum())

    def hand_over(self, histogram: Histogram) -> None:
        """Add the counts to ``histogram``, which has the same buckets and one more for what is above them.

        ``Histogram`` can only observe one value at a time (4 us each); its own buckets and sum take any amount. The
        names are private to prometheus_client: pinned, and covered by a test.
        """
        for bucket, count in zip(histogram._buckets, self._counts, strict=True):
            if count:
                bucket.inc(int(count))
        histogram._sum.inc(self._sum)
        self._counts[:] = 0
        self._sum = 0.0


def taken(waiting: list[T]) -> list[T]:
    """What waits, removed; the list itself stays, for other threads append to it without a lock."""
    found = waiting[:]
    del waiting[: len(found)]
    return found


def edges(histogram: Histogram) -> list[float]:
    """Upper edges of a histogram's buckets but for the last, which has none."""
    return [float(edge) for edge in histogram._upper_bounds[:-1]]
