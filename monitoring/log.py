"""The prediction log: answers go to a database, off the request's path, and a dead database costs no answer.

    service (event loop) -> add -> queue, bounded -> writer thread -> database

``add`` makes a row, appends it to a queue and returns: Python work of the writer would hold up the event loop for
longer, with more changes between the two threads. The writer writes what is there in one transaction; while the
database cannot be reached it keeps its batch and tries again. When the queue is full, new rows are lost and counted; so
are those that could not be written within ``DRAIN_SECONDS`` of the end. SQLAlchemy is imported only by who opens a log.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import repeat
from struct import Struct
from typing import TYPE_CHECKING, Any

from fraud.rows import Packed, ScoredRow
from fraud.schema import Schema, default
from fraud.settings import Settings
from monitoring.live import QualityPublisher
from monitoring.record_metrics import RecordMetrics

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from monitoring import database

LOG = logging.getLogger("bentoml.fraud")

BATCH_ROWS = 2_000
"""Most rows written in one transaction."""
PAUSE_SECONDS = 0.5
"""How long rows gather: a transaction costs as much as 15 rows, and an end by force loses those that wait."""
DRAIN_SECONDS = 5.0
STEP_ROWS = 500
"""Of a batch, added at once: nobody else works for the while, half a millisecond."""


def _amounts(schema: Schema) -> Callable[..., tuple[float]]:
    """What gives the amount of a packed row, at an offset; 0 where there is none."""
    name = schema.roles.amount
    if name is None:
        return lambda *_: (0.0,)
    unpack = Struct(f"<{8 * schema.inputs.index(name)}xd").unpack_from
    if not schema.columns[name].missing:
        return unpack

    def amount(*row: Any) -> tuple[float]:  # noqa: ANN401
        (found,) = unpack(*row)
        return (0.0 if math.isnan(found) else found,)

    return amount


class PredictionLog:
    """Writes what was answered to ``engine``. ``add`` is for one thread; ``close`` ends the writing.

    ``schema``: that of the rows. ``features``: whether the inputs of each row are kept; those of another schema than
    the default one never are, as they could not be read again. ``max_pending``: most rows that wait.
    """

    def __init__(
        self, engine: "Engine", metrics: RecordMetrics, schema: Schema, *, features: bool, max_pending: int
    ) -> None:
        from monitoring.database import HASH_LENGTH, LoggedPrediction
        from monitoring.storage.writer import BatchWriter

        self.engine = engine
        self._logged, self._schema = LoggedPrediction, schema.hash[:HASH_LENGTH]
        self._amount_of, self._row_bytes = _amounts(schema), 8 * len(schema.inputs)
        self._metrics = metrics
        self._features = features and schema.hash == default().hash
        self._max_pending = max_pending
        self._queue: deque[database.LoggedPrediction] = deque()
        self._added = self._settled = 0  # each is written by one thread alone
        self._stop = threading.Event()
        self._give_up = threading.Event()
        self._batches = BatchWriter(engine, metrics, self._stop, self._give_up, self._publish_pending)
        self._writer = threading.Thread(target=self._write_all, name="fraud-log", daemon=True)

    def start(self) -> None:
        """Start to write."""
        self._writer.start()

    @property
    def pending(self) -> int:
        """Rows added and not yet written or lost."""
        return self._added - self._settled

    def add(self, row: Packed, name: str, score: ScoredRow, request_id: str | None = None) -> None:
        """Log an answer; ``name`` is the transaction's id, or empty, ``request_id`` that of the call."""
        if not self._has_room(1):
            return
        self._queue.append(
            self._logged(
                time.time(),
                name or None,
                score.model_version,
                score.fraud_probability,
                score.is_fraud,
                self._amount_of(row)[0],
                self._schema,
                row if self._features else None,
                request_id,
            )
        )

    def add_many(
        self, rows: Packed, names: Sequence[str], scores: Sequence[ScoredRow], request_id: str | None = None
    ) -> Generator[None, None, None]:
        """Log the answers to a batch, in steps between which others may work."""
        if not self._has_room(len(scores)):
            return
        now, left = time.time(), len(scores)
        try:
            for start in range(0, len(scores), STEP_ROWS):
                if start:
                    yield
                step = slice(start, start + STEP_ROWS)
                packed = rows[start * self._row_bytes : step.stop * self._row_bytes]
                self._queue.extend(self._many(now, packed, names[step], scores[step], request_id))
                left -= len(scores[step])
        finally:
            self._added -= left  # whoever was given up on

    def _many(
        self, now: float, rows: Packed, names: Sequence[str], scores: Sequence[ScoredRow], request_id: str | None
    ) -> Iterable["database.LoggedPrediction"]:
        starts = range(0, len(rows), self._row_bytes)
        return map(
            self._logged,
            repeat(now),
            [name or None for name in names],
            [score.model_version for score in scores],
            [score.fraud_probability for score in scores],
            [score.is_fraud for score in scores],
            [self._amount_of(rows, start)[0] for start in starts],
            repeat(self._schema),
            [rows[start : start + self._row_bytes] for start in starts] if self._features else repeat(None),
            repeat(request_id),
        )

    def _has_room(self, rows: int) -> bool:
        if self.pending + rows > self._max_pending:
            self._metrics.dropped("full", rows)
            return False
        self._added += rows
        return True

    def close(self) -> None:
        """Write what waits, for at most ``DRAIN_SECONDS``; what is left then is lost and counted."""
        self._stop.set()
        self._writer.join(DRAIN_SECONDS)
        self._give_up.set()
        if lost := self.pending:
            LOG.error("the database could not be written in time: %d predictions are not in the log", lost)
            self._metrics.dropped("shutdown", lost)
        self._metrics.pending(0)

    def _write_all(self) -> None:
        self._batches.open()
        while not self._stop.wait(PAUSE_SECONDS):
            self._write_queued()
        self._write_queued()

    def _write_queued(self) -> None:
        if not self._queue:
            self._batches.look()
        while self._queue and not self._give_up.is_set():
            self._publish_pending()
            batch = self._take()
            self._batches.write(batch)
            if self._give_up.is_set():
                return  # what was not written is counted as lost, by ``close``
            self._settled += len(batch)
            if len(batch) < BATCH_ROWS and not self._stop.is_set():
                break  # nothing was left; what has come since gathers, for small batches cost the most
        self._publish_pending()

    def _publish_pending(self) -> None:
        self._metrics.pending(self.pending)

    def _take(self) -> list["database.LoggedPrediction"]:
        """The oldest rows."""
        return [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_ROWS))]


class Records:
    """What a worker keeps in the database: the prediction log and labels; and what it reads there, live quality."""

    def __init__(self, engine: "Engine", settings: Settings, metrics: RecordMetrics, schema: Schema) -> None:
        self._engine = engine
        self._metrics = metrics
        self._publisher = QualityPublisher(engine, metrics, settings)
        self.log = PredictionLog(
            engine, metrics, schema, features=settings.log_features, max_pending=settings.log_max_pending
        )

    def start(self) -> None:
        """Start the threads that write and ask."""
        self.log.start()
        self._publisher.start()

    def close(self) -> None:
        """Write what waits and end."""
        self._publisher.close()
        self.log.close()

    def put_label(self, transaction_id: str, *, is_fraud: bool) -> bool:
        """Keep a label at once, in the caller's thread; whether the database took it."""
        from monitoring import database

        try:
            database.prepare(self._engine, self._metrics.reopened)
            database.put_labels(self._engine, [(transaction_id, is_fraud)], source="feedback", now=time.time())
        except database.AWAY + database.REFUSED as error:
            LOG.error("a label was not kept: %s", database.line(error))
            return False
        self._metrics.labelled(is_fraud=is_fraud)
        return True


def check_database(settings: Settings) -> None:
    """Raise SettingsError when the database's URL is none; connects to nothing."""
    if settings.database_url is not None:
        from monitoring import database

        database.connect(settings.database_url)


def open_records(settings: Settings, metrics: RecordMetrics, schema: Schema) -> Records | None:
    """What ``settings`` ask for, of rows of ``schema``; None without a database. Connects to nothing yet.

    Raises SettingsError.
    """
    if settings.database_url is None:
        return None
    from monitoring import database

    return Records(database.connect(settings.database_url), settings, metrics, schema)
