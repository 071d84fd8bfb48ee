"""The thread that brings the metrics up to date again and again, and goes on whatever happens."""

import logging
import threading
from collections.abc import Callable

LOG = logging.getLogger("bentoml.fraud")


class Ticker:
    """Does ``works`` every ``seconds``, each whether or not the one before it failed, until ``close``."""

    def __init__(self, seconds: float, *works: Callable[[], None]) -> None:
        self._seconds = seconds
        self._works = works
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fraud-metrics", daemon=True)

    def start(self) -> None:
        """Start to work."""
        self._thread.start()

    def close(self) -> None:
        """Work no more; returns when what is under way is done."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            for work in self._works:
                attempt(work)


def attempt(work: Callable[[], None]) -> None:
    """Do ``work``; a failure is logged.

    The exception to "never catch Exception to go on": the files are written and removed by other processes at any
    time, and a ticker that ended would freeze every fraud_* metric of this worker until it is restarted.
    """
    try:
        work()
    except Exception:  # ruff lets a logged one pass; the reason is above
        LOG.exception("the fraud_* metrics could not be brought up to date")
