"""The prediction log: answers go to a database, off the request's path, and a dead database costs no answer.

    service (event loop) -> add -> queue, bounded -> writer thread -> database

``add`` makes a row, appends it to a queue and returns: Python work of the writer would hold up the event loop for
longer, with more changes between the two threads. The writer writes what is there in one transaction; while the
database cannot be reached it keeps its batch and tries again. When the queue is full, new rows are lost and counted; so
are those that could not be written within ``DRAIN_SECONDS`` of the end. SQLAlchemy is imported only by who opens a log.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING

from fraud.rows import Decoded, Model, Rows, ScoredRow, each, maker
from fraud.settings import Settings
from monitoring.live import QualityPublisher
from monitoring.record_metrics import RecordMetrics
from monitoring.storage.sent import RowKind, packed

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from fraud.schema import Schema
    from monitoring.storage.labelled import Labelled
    from monitoring.storage.tables import LoggedPrediction

LOG = logging.getLogger("bentoml.fraud")

BATCH_ROWS = 8_000
"""Most rows written in one transaction, which costs as much as 500 of them."""
PAUSE_SECONDS = 0.5
"""How long rows gather: a transaction costs as much as 15 rows, and an end by force loses those that wait."""
DRAIN_SECONDS = 5.0
STEP_ROWS = 500
"""Of a batch, added at once: nobody else works for the while, half a millisecond."""


class PredictionLog:
    """Writes what was answered to ``engine``. ``add`` is for one thread; ``close`` ends the writing.

    ``features``: whether what was sent, and the features, of each row are kept. ``max_pending``: most rows that wait.
    """

    def __init__(self, engine: "Engine", metrics: RecordMetrics, *, features: bool, max_pending: int) -> None:
        from monitoring.storage.tables import LoggedPrediction, Origin
        from monitoring.storage.writer import BatchWriter

        self.engine = engine
        self._logged, self._make_origin = maker(LoggedPrediction), Origin
        self._known: dict[tuple[Model, str | None], tuple[RowKind, int]] = {}
        self._origins: dict[int, Origin] = {}
        self._schemas: dict[str, Schema] = {}
        self._metrics = metrics
        self._features = features
        self._max_pending = max_pending
        self._queue: deque[LoggedPrediction] = deque()
        self._added = self._settled = 0  # each is written by one thread alone
        self._stop = threading.Event()
        self._give_up = threading.Event()
        self._batches = BatchWriter(
            engine, metrics, self._origins, self._schemas, self._stop, self._give_up, self._publish_pending
        )
        self._writer = threading.Thread(target=self._write_all, name="fraud-log", daemon=True)

    def start(self) -> None:
        """Start to write."""
        self._writer.start()

    @property
    def pending(self) -> int:
        """Rows added and not yet written or lost."""
        return self._added - self._settled

    def add(
        self, decoded: Decoded, score: ScoredRow, request_id: str | None = None, key_name: str | None = None
    ) -> None:
        """Log an answer; ``request_id`` is that of the call, ``key_name`` whose key it came with."""
        if not self._has_room(1):
            return
        row, texts, name, model = decoded
        probability, is_fraud, _, features = score
        kind, origin = self._known.get((model, key_name)) or self._know(model, key_name)
        sent = packed(row, features, texts) if self._features else None
        amount = kind.amount_of(row)
        self._queue.append(
            self._logged((origin, time.time(), name or None, request_id, probability, is_fraud, amount, sent))
        )

    def add_many(
        self, rows: Rows, scores: Sequence[ScoredRow], request_id: str | None = None, key_name: str | None = None
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
                self._queue.extend(self._many(now, rows, step, scores[step], request_id, key_name))
                left -= len(scores[step])
        finally:
            self._added -= left  # whoever was given up on

    def _many(
        self,
        now: float,
        rows: Rows,
        step: slice,
        scores: Sequence[ScoredRow],
        request_id: str | None,
        key_name: str | None,
    ) -> Iterable["LoggedPrediction"]:
        kind, origin = self._known.get((rows.model, key_name)) or self._know(rows.model, key_name)
        values = rows.values[step]
        probabilities, decisions, _, features = zip(*scores, strict=True)
        sent = map(packed, each(values), features, rows.texts[step] or repeat(())) if self._features else repeat(None)
        names, amounts = [name or None for name in rows.ids[step]], kind.amounts_of(values)
        columns = (repeat(origin), repeat(now), names, repeat(request_id), probabilities, decisions, amounts, sent)
        return map(self._logged, zip(*columns, strict=False))

    def _know(self, model: Model, key_name: str | None) -> tuple[RowKind, int]:
        """What the rows of a model have in common, and the number of their origin; made when the first comes."""
        kind, served, hasher = RowKind(model.schema), model.served, model.hash_key
        secret = hasher.fingerprint if hasher and model.schema.of_kind("key") else None
        origin = self._make_origin(served.version, kind.hash, served.manifest.threshold, key_name, secret)
        self._schemas[kind.hash], self._origins[origin.number] = model.schema, origin
        self._known[model, key_name] = kind, origin.number
        return self._known[model, key_name]

    def _has_room(self, rows: int) -> bool:
        if self._added - self._settled + rows > self._max_pending:
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
            self._settled += self._batches.write(batch)
            if self._give_up.is_set():
                return  # what was not written is counted as lost, by ``close``
            if len(batch) < BATCH_ROWS and not self._stop.is_set():
                break  # nothing was left; what has come since gathers, for small batches cost the most
        self._publish_pending()

    def publish(self) -> None:
        """Publish how many rows wait, and whether the writer hangs; for who asks once a second."""
        if not self._give_up.is_set():
            self._publish_pending()
            self._batches.watch()

    def _publish_pending(self) -> None:
        self._metrics.pending(self.pending)

    def _take(self) -> list["LoggedPrediction"]:
        """The oldest rows."""
        return [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_ROWS))]


class Records:
    """What a worker keeps in the database: the prediction log and labels; and what it reads there, live quality."""

    def __init__(self, engine: "Engine", settings: Settings, metrics: RecordMetrics) -> None:
        self._engine = engine
        self._metrics = metrics
        self._publisher = QualityPublisher(engine, metrics, settings)
        self.log = PredictionLog(engine, metrics, features=settings.log_features, max_pending=settings.log_max_pending)

    def start(self) -> None:
        """Start the threads that write and ask."""
        self.log.start()
        self._publisher.start()

    def close(self) -> None:
        """Write what waits and end."""
        self._publisher.close()
        self.log.close()

    def labelled(self) -> "Labelled":
        """What reads labels, with the transactions that they are of."""
        from monitoring.storage.labelled import Labelled

        return Labelled(self._engine, self._metrics.reopened)

    def put_label(self, transaction_id: str, *, is_fraud: bool, key_name: str | None = None) -> bool:
        """Keep a label at once, in the caller's thread, with whose key it came; whether the database took it."""
        from monitoring import database

        try:
            database.prepare(self._engine, self._metrics.reopened)
            database.put_labels(self._engine, [(transaction_id, is_fraud)], "feedback", time.time(), key_name)
        except database.AWAY as error:
            LOG.error("a label was not kept: %s", database.line(error))
            return False
        self._metrics.labelled(is_fraud=is_fraud)
        return True


def check_database(settings: Settings) -> None:
    """Raise SettingsError when the database's URL is none; connects to nothing."""
    if settings.database_url is not None:
        from monitoring import database

        database.connect(settings.database_url)


def open_records(settings: Settings, metrics: RecordMetrics) -> Records | None:
    """What ``settings`` ask for; None without a database. Connects to nothing yet. Raises SettingsError."""
    if settings.database_url is None:
        return None
    from monitoring import database

    return Records(database.connect(settings.database_url), settings, metrics)
