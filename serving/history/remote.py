"""Histories that replicas share, in Redis: one round trip a batch, and the event loop waits for nothing.

A call that is late is scored without, and waits to be added; the command itself goes on, and until it ended nobody else
waits. So a connection is never given up in the middle, and one that takes long to be made is made.
"""

import asyncio
import os
from itertools import count
from typing import Any

import numpy as np
import redis.asyncio
from numpy.typing import NDArray
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from fraud.errors import FullHistoryError, HistoryError
from fraud.history.batch import Batch
from fraud.history.remote.address import options, worded
from fraud.history.remote.store import RemoteStore, text
from fraud.history.remote.wire import Told
from fraud.schema import Schema
from fraud.settings import Settings
from monitoring.history_metrics import HistoryMetrics
from serving.history.online import Online, Steps

_CONNECTIONS = 16
"""Batches of one worker that may be on their way."""
_SECONDS = 5.0
"""After which a command has failed; it is tried again once, as it may be: ids tell."""


class OnlineRemote(Online):
    """``Online`` whose store is in Redis."""

    _WAIT_SECONDS = 2.0

    def __init__(self, schema: Schema, key_fingerprint: str, read: Settings, metrics: HistoryMetrics) -> None:
        super().__init__(schema, key_fingerprint, read, metrics)
        how = {"max_connections": _CONNECTIONS, "retry": Retry(NoBackoff(), 1), **options(_SECONDS)}
        self._client: Any = redis.asyncio.Redis.from_url(str(read.history_url), **how)
        self._scripts = {name: self._client.register_script(text(name)) for name in ("add.lua", "remember.lua")}
        self._late, self._noting = set[asyncio.Task[NDArray[np.float64]]](), set[asyncio.Task[None]]()
        self._own = f"\0{os.urandom(8).hex()}-"
        self._numbers = count()

    def _advance(self, batch: Batch) -> Steps:
        if not all(batch.names):  # what is asked twice is to be added once
            batch = batch._replace(names=[name or f"{self._own}{next(self._numbers)}" for name in batch.names])
        store = self.keeper.store
        if not isinstance(store, RemoteStore):
            return self._missed(batch, "broken")
        if self._late:
            return self._missed(batch, "deadline")
        task = asyncio.ensure_future(self._added(store, batch))
        yield asyncio.wait([task], timeout=self._deadline_seconds)
        if not task.done():
            self._late.add(task)
            task.add_done_callback(self._came)
            return self._missed(batch, "deadline")
        try:
            return task.result()
        except HistoryError as error:
            self.keeper.failed(store, error)
            return self._missed(batch, "full" if isinstance(error, FullHistoryError) else "broken")

    def _came(self, task: asyncio.Task[NDArray[np.float64]]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # it is looked at, and was counted

    async def _added(self, store: RemoteStore, batch: Batch) -> NDArray[np.float64]:
        """Add a batch; its features. Raises HistoryError."""
        asked = store.wire.asked(batch)
        with worded(store.url):
            try:
                reply = await self._scripts["add.lua"](keys=asked.names, args=[store.facts, asked.plan])
            except RedisError as error:
                raise store.emptied(error) from None
        told = store.wire.told(asked, reply)
        self._waiting.added(told.added)
        noting = asyncio.ensure_future(self._note(told))
        self._noting.add(noting)
        noting.add_done_callback(self._noting.discard)
        return told.features

    async def _note(self, told: Told) -> None:
        """What transactions got, beside the answer; where that fails, it is counted again when they are sent again."""
        if told.remember:
            ids, features = zip(*told.remember, strict=True)
            try:
                await self._scripts["remember.lua"](keys=ids, args=features)
            except (RedisError, OSError):
                return
