"""In which order transactions may be sent: those of one key after one another, everything else as chance has it."""

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Order:
    """Of ``n`` transactions in time order from number ``first`` on; ``keys``: of each key column int64 ``(n,)``, -1 for
    no key.

    A transaction may be sent when the one before it of each of its keys was answered. Of those that may, ``take``
    gives one at random.
    """

    def __init__(self, keys: Sequence[NDArray[np.int64]], seed: int, first: int = 0) -> None:
        self._first = first
        count = len(keys[0])
        self._followers: list[list[int]] = [[] for _ in range(count)]
        self._waits_for = [0] * count
        for column in keys:
            last = dict[int, int]()
            for row, key in enumerate(column.tolist()):
                if key < 0:
                    continue
                if (before := last.get(key)) is not None:
                    self._followers[before].append(row)
                    self._waits_for[row] += 1
                last[key] = row
        self._random = random.Random(seed)  # noqa: S311 - which order it is matters to nobody
        self._may = [row for row, waits in enumerate(self._waits_for) if not waits]
        self.left = count

    def take(self) -> int | None:
        """One that may be sent; None while all of them wait for others."""
        if not self._may:
            return None
        place = self._random.randrange(len(self._may))
        self._may[place], self._may[-1] = self._may[-1], self._may[place]
        return self._first + self._may.pop()

    def answered(self, row: int) -> None:
        """It was, and those that waited for it alone may be sent."""
        self.left -= 1
        for follower in self._followers[row - self._first]:
            self._waits_for[follower] -= 1
            if not self._waits_for[follower]:
                self._may.append(follower)
