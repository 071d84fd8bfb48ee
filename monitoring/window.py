"""The window of ``fraud_rate``, and what the files of several worker processes add up to.

With several workers ``prometheus_client`` keeps one file per process and kind of gauge in
``PROMETHEUS_MULTIPROC_DIR``. A ratio cannot be added up, so each worker publishes its parts and reads the others'.
"""

import contextlib
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead


class Window:
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


def rate(scored: int, flagged: int) -> float:
    """Share flagged over all live workers; over this process when it is the only one.

    ``scored`` and ``flagged`` are this process's own and only those of the others are read from files: BentoML empties
    the folder whenever a server starts on the same BENTOML_HOME, and this process's file may then be gone.
    """
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder:
        own = f"gauge_livesum_{os.getpid()}.db"
        files = [str(path) for path in Path(folder).glob("gauge_livesum_*.db") if path.name != own]
        sums = {
            metric.name: sum(sample.value for sample in metric.samples)
            for metric in MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        }
        scored += int(sums.get("fraud_window_scored", 0))
        flagged += int(sums.get("fraud_window_flagged", 0))
    return flagged / scored if scored else math.nan


def bury_the_dead() -> None:
    """Remove the live gauges of worker processes that are gone, so that they no longer count."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not folder:
        return
    for path in Path(folder).glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        if not _alive(pid):
            with contextlib.suppress(FileNotFoundError):  # another worker was quicker
                mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
