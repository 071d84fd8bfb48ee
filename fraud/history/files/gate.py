"""Who may touch the store: one thread of one process at a time, and nobody waits longer than told.

The lock is the folder's own (``flock``): there is no file of it to be deleted, and it goes with who held it.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from pathlib import Path
from threading import Lock

from fraud.errors import HistoryError

POLL_SECONDS = 0.0005


class Gate:
    """That of ``folder``. A thread that has it gives it back; threads of one process exclude each other too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._threads = Lock()

    def take(self) -> bool:
        """Whether it was free, and is had now."""
        if not self._threads.acquire(blocking=False):
            return False
        try:
            flock(self._descriptor, LOCK_EX | LOCK_NB)
        except BaseException as error:
            self._threads.release()
            if isinstance(error, BlockingIOError):
                return False
            raise
        return True

    def give(self) -> None:
        """Let others have it."""
        flock(self._descriptor, LOCK_UN)
        self._threads.release()

    @contextmanager
    def held(self, seconds: float) -> Iterator[None]:
        """Have it for the while. Raises HistoryError when it cannot be had within ``seconds``."""
        until = time.monotonic() + seconds
        while not self.take():
            if time.monotonic() >= until:
                raise HistoryError(f"{self._folder}: another process has held the history store for {seconds:g} s")
            time.sleep(POLL_SECONDS)
        try:
            yield
        finally:
            self.give()

    def close(self) -> None:
        """Never take it again: it looks taken to whoever tries."""
        self._threads.acquire()
        os.close(self._descriptor)
