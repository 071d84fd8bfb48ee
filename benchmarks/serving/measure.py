"""CPU and memory of a process and all its descendants."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Self

import psutil

_IDLE_SHARE = 0.05  # of one core: metrics tickers and supervisors never sleep altogether
_LOOK_SECONDS = 0.3  # the kernel counts in steps of 10 ms
_QUIET_LOOKS = 2  # in a row; a single one may mean that others had the cores


class Tree:
    """A process and everything below it."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)

    def _members(self) -> Iterator[psutil.Process]:
        yield self._root
        with contextlib.suppress(psutil.NoSuchProcess):
            yield from self._root.children(recursive=True)

    def cpu_seconds(self) -> float:
        """User and system time of the living, and of the dead as their parents inherited it."""
        total = 0.0
        for process in self._members():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total

    def memory_mib(self) -> float:
        """Proportional set size: a page that several processes share is counted once."""
        total = 0
        for process in self._members():
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().pss
        return total / 2**20

    def settle(self, seconds: float = 30) -> float:
        """Wait until no work is left, at most ``seconds``; returns ``cpu_seconds()`` then."""
        deadline = time.monotonic() + seconds
        before, quiet = self.cpu_seconds(), 0
        while quiet < _QUIET_LOOKS and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
            after = self.cpu_seconds()
            quiet = quiet + 1 if after - before <= _IDLE_SHARE * _LOOK_SECONDS else 0
            before = after
        return before


class PeakMemory:
    """Samples a tree's memory while the block runs; ``mib`` is the most that was seen."""

    def __init__(self, tree: Tree, every_seconds: float = 1.0) -> None:
        self._tree, self._every = tree, every_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.mib = 0.0

    def _sample(self) -> None:
        while True:
            self.mib = max(self.mib, self._tree.memory_mib())
            if self._over.wait(self._every):
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.mib = max(self.mib, self._tree.memory_mib())
