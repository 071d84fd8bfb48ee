"""Live quality as metrics: asked of the database once a minute by one worker of the service, off the request's path."""

import fcntl
import logging
import threading
import time
from typing import IO, TYPE_CHECKING

from fraud.inputs.derived import SECONDS_PER_DAY
from fraud.settings import Settings
from monitoring import multiprocess
from monitoring.record_metrics import RecordMetrics

if TYPE_CHECKING:
    from sqlalchemy import Engine

LOG = logging.getLogger("bentoml.fraud")

EVERY_SECONDS = 60.0
LEASE = "fraud_live.lock"


class QualityPublisher:
    """Publishes precision and recall of predictions that are old enough for labels, until ``close``."""

    def __init__(self, engine: "Engine", metrics: RecordMetrics, settings: Settings) -> None:
        self._engine = engine
        self._metrics = metrics
        self._settings = settings
        self._lease: IO[str] | None = None
        self._said_at = -EVERY_SECONDS
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fraud-live", daemon=True)

    def start(self) -> None:
        """Start to ask."""
        self._thread.start()

    def close(self) -> None:
        """Ask no more; a question under way is left to itself, for the process ends."""
        self._stop.set()

    def _run(self) -> None:
        pause = min(EVERY_SECONDS, max(1.0, self._delay_seconds / 10))  # a replay with a short delay is watched closely
        while not self._stop.wait(pause):
            if self._is_mine():
                self._publish()

    @property
    def _delay_seconds(self) -> float:
        return self._settings.label_delay_days * SECONDS_PER_DAY

    def _publish(self) -> None:
        from monitoring import database, quality

        settings = self._settings
        try:
            database.prepare(self._engine, self._metrics.reopened)
            qualities = quality.measure(
                self._engine,
                now=time.time(),
                delay_days=settings.label_delay_days,
                window_days=settings.live_window_days,
                unlabelled=settings.unlabelled,
            )
        except database.AWAY as error:
            if time.monotonic() - self._said_at >= EVERY_SECONDS:
                self._said_at = time.monotonic()
                LOG.warning("live quality is not up to date: %s", database.line(error))
        else:
            self._metrics.describe_quality(qualities, self._delay_seconds)

    def _is_mine(self) -> bool:
        """Whether this worker is the one that asks: it holds a lock that goes with its process."""
        folder = multiprocess.folder()
        if folder is None or self._lease is not None:
            return True
        try:
            file = (folder / LEASE).open("a")
        except OSError:  # the folder went: ask again the next time
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._lease = file
        return True
