"""A month's transactions day by day, and the labels of each day seven days later."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.history.callers import Callers
from benchmarks.history.order import Order
from benchmarks.history.service import wait_until_applied, wait_until_logged

DELAY_DAYS = 7


class Days:
    """Of transactions in time order: ``times`` in seconds, whether each is ``fraud``, its ``keys`` and its name."""

    def __init__(
        self,
        times: NDArray[np.float64],
        fraud: NDArray[np.bool_],
        keys: Sequence[NDArray[np.int64]],
        names: Sequence[str],
    ) -> None:
        days = np.floor(times / 86_400).astype(np.int64)
        self._starts = np.searchsorted(days, np.arange(days[0], days[-1] + 2))
        self._fraud, self._keys, self._names = fraud, keys, names
        self.labels = 0
        """How many were sent."""

    def send(self, sender: Callers, callers: int, seed: int, ports: Sequence[int], log: Path) -> None:
        """The whole month; at its end also the labels that are still to come."""
        count = len(self._starts) - 1
        for day in range(count + DELAY_DAYS):
            if day >= DELAY_DAYS:
                self._label(sender, day - DELAY_DAYS, ports, log)
            if day < count:
                rows = slice(int(self._starts[day]), int(self._starts[day + 1]))
                order = Order([column[rows] for column in self._keys], seed, rows.start)
                asyncio.run(sender.run(order, callers))

    def _label(self, sender: Callers, day: int, ports: Sequence[int], log: Path) -> None:
        """Send labels, and return when they were counted; what a killed worker did not log is asked for again."""
        first, end = map(int, self._starts[day : day + 2])
        rows = (first + np.flatnonzero(self._fraud[first:end])).tolist()
        lost = [row for row in rows if not _is_logged(log, self._names[row])]
        asyncio.run(sender.ask_again(lost))
        asyncio.run(sender.label([self._names[row] for row in rows]))
        self.labels += len(rows)
        if lost:
            wait_until_logged(*ports)
        wait_until_applied(self.labels, *ports)


def _is_logged(log: Path, name: str) -> bool:
    with closing(sqlite3.connect(log)) as connection:
        return bool(connection.execute("SELECT 1 FROM fraud_decisions WHERE transaction_id = ?", (name,)).fetchone())
