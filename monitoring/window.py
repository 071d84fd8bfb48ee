"""The window of ``fraud_rate``: what one worker counted in it, and the share over all workers.

A ratio cannot be added up, so each worker publishes its parts and reads the others'.
"""

import logging
import math
import time
from collections.abc import Callable

import numpy as np

from monitoring import multiprocess

LOG = logging.getLogger("bentoml.fraud")
SCORED, FLAGGED = "fraud_window_scored", "fraud_window_flagged"
"""Gauges of one worker's rows in the window."""


class RollingCounts:
    """Rows scored and flagged in the last ``seconds``, as a ring of one-second buckets.

    ``clock`` gives seconds and never goes back. Not thread-safe; the owner holds a lock.
    """

    def __init__(self, seconds: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts = np.zeros((seconds, 2), dtype=np.int64)
        self._second = int(clock())

    def add(self, scored: int, flagged: int) -> None:
        """Count rows in the current second."""
        self._advance()
        self._counts[self._second % len(self._counts)] += (scored, flagged)

    def totals(self) -> tuple[int, int]:
        """Rows scored and flagged in the window that ends now."""
        self._advance()
        scored, flagged = self._counts.sum(axis=0)
        return int(scored), int(flagged)

    def _advance(self) -> None:
        now = int(self._clock())
        size = len(self._counts)
        for second in range(max(self._second + 1, now - size + 1), now + 1):
            self._counts[second % size] = 0
        self._second = max(self._second, now)


class RateOverWorkers:
    """Share flagged over all live workers; over this process when it is the only one."""

    def __init__(self) -> None:
        self._workers = 1
        self._problem: str | None = None

    def check(self, workers: int) -> None:
        """Look once whether the others' counts can be read, and say in the log what becomes of the rate if not."""
        self._workers, self._problem = workers, multiprocess.problem_of_files(SCORED)
        if self._problem:
            rate = "this worker's own" if workers == 1 else "not known (NaN)"
            LOG.warning("fraud_rate is %s: %s", rate, self._problem)

    def of(self, scored: int, flagged: int) -> float:
        """NaN without a row, or where the others' are not known.

        ``scored`` and ``flagged`` are this process's own and only those of the others are read from files: BentoML
        empties the folder whenever a server starts on the same BENTOML_HOME, and this process's file may then be gone.
        """
        if self._problem is None:
            others = multiprocess.sums_of_others()
            scored += int(others.get(SCORED, 0))
            flagged += int(others.get(FLAGGED, 0))
        elif self._workers > 1:
            return math.nan
        return flagged / scored if scored else math.nan
