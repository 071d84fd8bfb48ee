"""Batches of predictions, written however long the database is away. Imported only where there is one."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event

from sqlalchemy import Engine

from fraud.schema import Schema
from monitoring import database
from monitoring.record_metrics import RecordMetrics
from monitoring.storage.tables import LoggedPrediction, Origin

LOG = logging.getLogger("bentoml.fraud")

RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0)
"""Pauses after one failure, two, ...; the last goes on."""
LAST_RETRY_SECONDS = 0.5
"""The pause once the service ends."""
HANG_SECONDS = 15.0
"""A write that takes longer hangs: in a database that answers nothing, or behind somebody's lock."""
SAY_SECONDS = 60.0
"""The same trouble is said at most so often."""
_UNWRITABLE = "the prediction log cannot be written (%s); rows wait"


class BatchWriter:
    """Writes batches to ``engine`` in the thread that calls.

    ``origins``: of the rows that come, by number; ``schemas``: those that these name, by hash. ``stop``: the service
    ends, so hurry. ``give_up``: its time is over. ``waiting`` is called at each failure.
    """

    def __init__(
        self,
        engine: Engine,
        metrics: RecordMetrics,
        origins: Mapping[int, Origin],
        schemas: Mapping[str, Schema],
        stop: Event,
        give_up: Event,
        waiting: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._origins, self._schemas = origins, schemas
        self._metrics = metrics
        self._stop = stop
        self._give_up = give_up
        self._waiting = waiting
        self._said: dict[str, float] = {}
        """Troubles, and when they were said."""
        self._tried_at = 0.0
        self._began: float | None = None
        self._is_ready = True

    def write(self, batch: Sequence[LoggedPrediction]) -> int:
        """Write ``batch``; how many are written or lost, all of them unless the time was over before.

        A row that the database refuses is lost and counted, and costs no other. Where it refuses any row, the table is
        at fault, and rows wait.
        """
        failures = 0
        while not self._give_up.is_set():
            self._began = time.monotonic()
            try:
                database.prepare(self._engine, self._metrics.reopened)
                database.insert(self._engine, batch, dict(self._origins), dict(self._schemas))
            except Exception as error:  # noqa: BLE001 - a thread that ended would lose all that is to come, unseen
                is_a_rows = database.is_a_rows_fault(self._engine, error)
                self._began = None
                if is_a_rows:
                    return self._write_apart(batch, error)
                pause = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
                failures += 1
                self._trouble(error)
                self._waiting()
                database.forget(self._engine)
                self._rest(pause)
            else:
                self._began = None
                self._metrics.written(len(batch))
                self._no_trouble()
                return len(batch)
        return 0

    def watch(self) -> None:
        """From another thread: publish, and say, that a write does not come to its end."""
        began = self._began
        if began is not None and time.monotonic() - began > HANG_SECONDS:
            self._metrics.writable(False)
            self._say(_UNWRITABLE, f"no answer for {HANG_SECONDS:g} s and more")

    def open(self) -> None:
        """Look at the database before the first row: what is wrong with it is said at the start."""
        self._attempt(database.prepare)

    def look(self) -> None:
        """Without rows: have a database that was deleted or replaced, or was not ready, looked at again, so that it
        shows within seconds."""
        if self._is_ready:
            self._attempt(database.look)
        elif time.monotonic() - self._tried_at >= RETRY_SECONDS[-1]:
            self._attempt(database.prepare)

    def _attempt(self, work: Callable[[Engine, Callable[[], None]], None]) -> None:
        self._tried_at = time.monotonic()
        try:
            work(self._engine, self._metrics.reopened)
        except Exception as error:  # noqa: BLE001 - as above
            self._trouble(error)
        else:
            self._no_trouble()

    def _trouble(self, error: Exception) -> None:
        self._is_ready = False
        self._metrics.writable(False)
        self._say(_UNWRITABLE, database.line(error))

    def _no_trouble(self) -> None:
        if not self._is_ready:
            LOG.info("the prediction log can be written again")
            self._said.clear()
        self._is_ready = True
        self._metrics.writable()

    def _write_apart(self, batch: Sequence[LoggedPrediction], error: Exception) -> int:
        """Halve until the rows that are refused stand alone."""
        if len(batch) > 1:
            middle = len(batch) // 2
            return self.write(batch[:middle]) + self.write(batch[middle:])
        self._say("the database refuses a prediction: %s", database.line(error))
        self._metrics.dropped("invalid", 1)
        return 1

    def _say(self, words: str, trouble: str) -> None:
        """Another trouble at once, the same seldom."""
        now = time.monotonic()
        if now - self._said.get(trouble, -SAY_SECONDS) >= SAY_SECONDS:
            self._said = {one: at for one, at in self._said.items() if now - at < SAY_SECONDS} | {trouble: now}
            LOG.warning(words, trouble)

    def _rest(self, seconds: float) -> None:
        """Wait before the next try; shorter once the service ends."""
        if self._stop.wait(seconds):
            self._give_up.wait(LAST_RETRY_SECONDS)
