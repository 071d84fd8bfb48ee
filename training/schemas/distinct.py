"""The different values of a column, how often each stands there, and with which label, in constant memory."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

CAP = 65_536
"""Values that are kept of a column."""
_ALL = 2.0**64

Counts = NDArray[np.float64]


class Distinct:
    """Exact up to ``CAP`` values; of more, a sample of the values by their hash, each with its exact counts.

    Distinct sampling (Gibbons 2001): whether a value is kept depends on nothing but the value, so that the sample is
    the same in whatever order the rows come.
    """

    def __init__(self) -> None:
        self.values = pd.Index([])
        self.rows: Counts = np.zeros(0)
        """How many rows hold each value."""
        self.marked: Counts = np.zeros(0)
        """How many of them have the label that was met first."""
        self._hashes = np.zeros(0, np.uint64)
        self._below = _ALL

    @property
    def is_exact(self) -> bool:
        """Whether every value is kept."""
        return self._below == _ALL

    @property
    def share(self) -> float:
        """The share of the values that is kept."""
        return self._below / _ALL

    @property
    def count(self) -> int:
        """How many different values there are; an estimate where they are not kept all."""
        return round(len(self.values) / self.share)

    @property
    def is_unique(self) -> bool:
        """Whether no value was met twice."""
        return bool((self.rows == 1).all()) and len(self.values) > 1

    def add(self, values: pd.Index, rows: Counts, marked: Counts) -> None:
        """Take in different ``values`` of a chunk with their counts."""
        hashes = pd.util.hash_array(np.asarray(values))
        keep = hashes < self._below
        known = self.values.append(values[keep]) if len(self.values) else values[keep]
        codes, self.values = pd.factorize(known)
        self.rows = _summed(codes, self.rows, rows[keep])
        self.marked = _summed(codes, self.marked, marked[keep])
        merged = np.append(self._hashes, hashes[keep])
        self._hashes = np.empty(len(self.values), np.uint64)
        self._hashes[codes] = merged
        while len(self.values) > CAP:
            self._thin_out()

    def _thin_out(self) -> None:
        self._below /= 2
        keep = self._hashes < self._below
        self.values, self._hashes = self.values[keep], self._hashes[keep]
        self.rows, self.marked = self.rows[keep], self.marked[keep]

    def most_frequent(self, number: int) -> list[tuple[str, int]]:
        """The values met most often, as text, with their rows; of as many rows, in order of the text."""
        top = np.argsort(-self.rows, kind="stable")[: max(number * 20, 1_000)]
        named = sorted((-int(self.rows[place]), str(self.values[place])) for place in top)
        return [(text, -rows) for rows, text in named[:number]]


def _summed(codes: NDArray[np.int64], known: Counts, added: Counts) -> Counts:
    return np.bincount(codes, np.append(known, added)).astype(np.float64)
