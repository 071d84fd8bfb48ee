"""Live quality as metrics, off the request's path: one worker of all that share the database asks it once a minute, or
more seldom where the question takes long, and writes down what it found; one of each service publishes that."""

import fcntl
import json
import logging
import threading
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from fraud.inputs.derived import SECONDS_PER_DAY
from fraud.settings import Settings
from monitoring import multiprocess
from monitoring.record_metrics import RecordMetrics

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from monitoring.quality import ModelQuality

LOG = logging.getLogger("bentoml.fraud")

EVERY_SECONDS = 60.0
MOST_SHARE = 0.1
"""Of the time, that the question may take: where it takes long, it is asked more seldom."""
PUBLISHER_LOCK = "fraud_live.lock"
TURN_SECONDS = 300.0
"""After which another asks in place of one that did not come to its end."""


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
        while not self._stop.wait(self._pause_seconds):
            if self._is_mine():
                self._publish()

    @property
    def _delay_seconds(self) -> float:
        return self._settings.label_delay_days * SECONDS_PER_DAY

    @property
    def _pause_seconds(self) -> float:
        return min(EVERY_SECONDS, max(1.0, self._delay_seconds / 10))  # a replay with a short delay is watched closely

    def _publish(self) -> None:
        from monitoring import database

        try:
            database.prepare(self._engine, self._metrics.reopened)
            qualities = self._measured()
        except database.AWAY as error:
            if time.monotonic() - self._said_at >= EVERY_SECONDS:
                self._said_at = time.monotonic()
                LOG.warning("live quality is not up to date: %s", database.line(error))
        else:
            if qualities is not None:
                self._metrics.describe_quality(qualities, self._delay_seconds)

    def _measured(self) -> "list[ModelQuality] | None":
        """What this worker found, where it is its turn, or what was found last; None before the first time."""
        from monitoring import database, quality
        from monitoring.storage import turns

        settings, engine = self._settings, self._engine
        delay, window = settings.label_delay_days, settings.live_window_days
        name = f"quality {delay:g} {window:g} {settings.unlabelled}"
        turn = turns.take(engine, name, time.time(), TURN_SECONDS)
        if not turn.is_mine:
            return None if turn.found is None else [quality.ModelQuality.of(*one) for one in json.loads(turn.found)]
        began = time.monotonic()
        try:
            found = quality.measure(
                engine, now=time.time(), delay_days=delay, window_days=window, unlabelled=settings.unlabelled
            )
        except database.AWAY:
            with suppress(*database.AWAY):
                turns.done(engine, name, time.time())
            raise
        pause = min(max(self._pause_seconds, (time.monotonic() - began) / MOST_SHARE), turns.MOST_AHEAD_SECONDS / 2)
        counts = json.dumps([(one.model_version, one.outcomes, one.labelled) for one in found])
        turns.done(engine, name, time.time() + pause, counts)
        return found

    def _is_mine(self) -> bool:
        """Whether this worker is the one that asks: it holds a lock that goes with its process."""
        folder = multiprocess.folder()
        if folder is None or self._lease is not None:
            return True
        try:
            file = (folder / PUBLISHER_LOCK).open("a")
        except OSError:  # the folder went: ask again the next time
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._lease = file
        return True
