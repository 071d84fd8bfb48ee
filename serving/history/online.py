"""Histories of transactions on their way to the model: never in the way of an answer.

    batch -> the gate of the store, tried at once, then again and again up to a deadline -> features, added

Whatever is in the way (another worker that was stopped, a full disk, a damaged file), the transaction is scored with
its history missing and waits to be added later, by ``serving.history.keeper``. After a miss nobody waits for a deadline
until the gate was had again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fraud.errors import HistoryError
from fraud.history import room
from fraud.history.batch import Batch, reader
from fraud.history.layout import MICROSECONDS, layouts
from fraud.history.store import Store
from fraud.history.stores import open_store
from fraud.rows import Decoded, Model, ScoredRow, Texts, by_model, each, unpack
from fraud.schema import Schema
from fraud.settings import Settings
from monitoring.history_metrics import HistoryMetrics
from serving.history.keeper import Keeper
from serving.history.waiting import Waiting

if TYPE_CHECKING:
    from monitoring.storage.labelled import Labelled

_POLL_SECONDS = 0.0005
Score = Callable[[Model, NDArray[np.float64]], list[ScoredRow]]
Steps = Generator[Awaitable[object] | None, None, NDArray[np.float64]]
"""What is yielded is waited for; None: for others."""


class Online:
    """Of one worker and ``schema``. ``key_fingerprint``: of the secret of keys. For the thread of the event loop.

    ``labelled``: where labels come from, if any do.
    """

    ROWS_AT_ONCE = 0
    """Of a large batch; 0: as many as a step of the event loop has time for."""

    def __init__(
        self,
        schema: Schema,
        key_fingerprint: str,
        read: Settings,
        metrics: HistoryMetrics,
        labelled: "Labelled | None" = None,
    ) -> None:
        self._layouts = own = layouts(schema)
        self._read, self._schema = reader(schema, own), schema
        self._no_texts: Texts = (None,) * len(schema.of_kind("category", "key"))
        self._width = len(schema.histories)
        self._skew_us = int(read.history_skew_seconds * MICROSECONDS)
        self._deadline_seconds = read.history_deadline_ms / 1e3
        self._waiting = Waiting(metrics, read.history_max_pending)
        opening = partial(open_store, own, key_fingerprint, read)
        self.keeper = Keeper(opening, own, self._skew_us, self._waiting, metrics)
        self._labels = None
        if labelled is not None:
            from serving.history.labels import LabelsToStore

            time_column = str(schema.roles.time)
            self._labels = LabelsToStore(own, time_column, key_fingerprint, labelled, self.keeper, metrics)
        self._patient = True
        """Whether the gate was had when it was last tried."""
        self.publish = self._waiting.publish

    def start(self) -> None:
        """Open the store, and look after it beside the calls."""
        self.keeper.start()
        if self._labels is not None:
            self._labels.start()

    def close(self) -> None:
        """Add what waits, and end."""
        if self._labels is not None:
            self._labels.close()
        self.keeper.close()

    def score(self, decoded: list[Decoded], score: Score) -> list[ScoredRow] | Awaitable[list[ScoredRow]]:
        """What ``score`` says of transactions with their histories: at once, where nobody else has the store."""
        rows, texts, names, _ = zip(*decoded, strict=True)
        values = unpack(rows)
        found = self._at_once(values, texts, names, self._latest())
        if found is not None:
            return _scored(decoded, values, found, score)
        steps = self._steps(values, texts, names)
        try:
            step = next(steps)
        except StopIteration as end:
            return _scored(decoded, values, end.value, score)
        return self._later(steps, step, decoded, values, score)

    async def _later(
        self,
        steps: Steps,
        step: Awaitable[object] | None,
        decoded: list[Decoded],
        values: NDArray[np.float64],
        score: Score,
    ) -> list[ScoredRow]:
        with closing(steps):
            while True:
                await (step or asyncio.sleep(_POLL_SECONDS))
                try:
                    step = next(steps)
                except StopIteration as end:
                    return _scored(decoded, values, end.value, score)

    def _latest(self) -> int:
        """Microseconds since 1970: what is later is of the future."""
        return int(time.time() * MICROSECONDS) + self._skew_us

    def advance(self, rows: NDArray[np.float64], texts: Sequence[Texts], names: Sequence[str]) -> Steps:
        """Add rows ``(n, inputs)`` to the histories of their keys; returns their features, float64 ``(n, h)``.

        In steps, where others have the store: nothing is held in between. NaN is what is missing.
        """
        texts = texts or [self._no_texts] * len(rows)
        found = self._at_once(rows, texts, names, self._latest())
        return (yield from self._steps(rows, texts, names)) if found is None else found

    def _steps(self, rows: NDArray[np.float64], texts: Sequence[Texts], names: Sequence[str]) -> Steps:
        batch, latest = self._read(rows, texts, names), self._latest()
        if batch.times.max() <= latest:
            return (yield from self._advance(batch))
        features = self._none(len(rows))
        now = [row for row, own in enumerate(batch.times.tolist()) if own <= latest]
        self._waiting.missing("future", len(rows) - len(now))
        if now:
            features[now] = yield from self._advance(batch.only(now))
        return features

    def _at_once(
        self, rows: NDArray[np.float64], texts: Sequence[Texts], names: Sequence[str], latest: int
    ) -> NDArray[np.float64] | None:
        """The features of a usual batch, where the store is free; None where anything is not so."""
        store = self.keeper.store
        if not isinstance(store, Store) or not store.gate.take():
            return None
        try:
            quick = store.at_once(self._schema)
            found = None if quick is None else quick.add(rows, texts, names, latest)
        except (HistoryError, OSError):  # which it is, is said by the usual way
            return None
        finally:
            store.gate.give()
        if found is not None:
            self._patient = True
            self._waiting.added(len(found))
        return found

    def _advance(self, batch: Batch) -> Steps:
        found = self._try(batch)
        if found is None and self._patient:
            until = time.monotonic() + self._deadline_seconds
            while found is None and time.monotonic() < until:
                yield None
                found = self._try(batch)
        if found is None:
            self._patient = False
            return self._missed(batch, "deadline")
        return found

    def _try(self, batch: Batch) -> NDArray[np.float64] | None:
        """The features; None where another has the store."""
        store = self.keeper.store
        if store is None:
            return self._missed(batch, "broken")
        if not store.gate.take():
            return None
        self._patient, before = True, store.added
        try:
            found, left_out, full = room.add(store, self._layouts, batch)
        except HistoryError as error:
            self.keeper.failed(store, error)
            return self._missed(batch, "broken")
        finally:
            self._waiting.added(store.added - before)
            store.gate.give()
        if full is not None:
            self.keeper.say(full)
            self._waiting.missing("full", left_out)
        return found

    def _missed(self, batch: Batch, reason: str) -> NDArray[np.float64]:
        rows = len(batch.times)
        self._waiting.missing(reason, rows)
        self._waiting.put(batch)
        return self._none(rows)

    def _none(self, rows: int) -> NDArray[np.float64]:
        return np.full((rows, self._width), np.nan)


def _scored(
    decoded: list[Decoded], values: NDArray[np.float64], features: NDArray[np.float64], score: Score
) -> list[ScoredRow]:
    """Of rows ``(n, inputs)`` with the features behind them."""
    whole = np.concatenate((values, features), axis=1)
    model = decoded[0].model
    if all(one.model is model for one in decoded):
        return score(model, whole)
    packed = [one._replace(row=row) for one, row in zip(decoded, each(whole), strict=True)]
    return by_model(packed, score)
