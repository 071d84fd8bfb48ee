"""How long a search may take, and how much memory: looked at between pieces of a fit, and kept by ending the trial."""

import ctypes
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from fraud.errors import FraudError

FREE_SHARE = 0.8
"""Of the memory that is free at the start, where nobody says how much may be used."""
GIGABYTE = 1e9
NOTED_EVERY = 1.0
"""Seconds, at least, between two notes of the time that work takes: each is a write to a file."""


class CutError(Exception):
    """A trial ends here: no fault, but a reason."""


def memory_in_use() -> int:
    """Bytes of this process that are in memory."""
    return int(psutil.Process().memory_info().rss)


def memory_to_use(gigabytes: float | None) -> float:
    """Bytes that this process may come to."""
    if gigabytes is not None:
        return gigabytes * GIGABYTE
    return float(memory_in_use() + FREE_SHARE * psutil.virtual_memory().available)


@dataclass
class Budget:
    """What is left from now on. ``reserve``: seconds kept for what follows the search."""

    seconds: float
    memory: float
    """Bytes of the whole process."""
    clock: Callable[[], float] = time.monotonic
    in_use: Callable[[], float] = memory_in_use
    reserve: float = 0.0
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self.clock()

    @property
    def is_left(self) -> bool:
        """Whether there is time for anything."""
        return self.clock() - self._started < self.seconds - self.reserve

    def check(self, _: object = None) -> None:
        """Raise CutError when time or memory is used up: to be called after each piece of work."""
        if not self.is_left:
            raise CutError("time")
        if self.in_use() > self.memory:
            raise CutError("memory")

    def check_start(self) -> None:
        """Raise FraudError when the data alone takes the memory."""
        if (held := self.in_use()) > self.memory:
            raise FraudError(
                f"the rows and their folds take {held / GIGABYTE:.2f} GB already, of {self.memory / GIGABYTE:.2f} GB: "
                "give more with --memory-gb, or fewer rows"
            )


class Meter:
    """What work takes, noted as it goes on: ``note`` is told all seconds so far, as nobody knows who will be killed."""

    def __init__(self, clock: Callable[[], float], note: Callable[[float], None]) -> None:
        self._clock, self._note = clock, note
        self._started = self._noted = clock()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self._clock() - self._started

    def tick(self, _: object = None) -> None:
        """After each piece of work."""
        if self._clock() - self._noted >= NOTED_EVERY:
            self.end()

    def end(self) -> None:
        """Note all of it."""
        self._note(self.seconds)
        self._noted = self._clock()


def release() -> None:
    """Give memory back to the system that nobody uses: the C library keeps it, which would count against the next."""
    with suppress(AttributeError):  # only glibc needs it
        ctypes.CDLL(None).malloc_trim(0)
