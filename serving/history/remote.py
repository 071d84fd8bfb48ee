"""Histories that replicas share, in Redis: one round trip for all that came since the last, and the event loop waits
for nothing.

A call that is late is scored without, and waits to be added; the command itself goes on, and until it ended nobody else
waits. So a connection is never given up in the middle, and one that takes long to be made is made.
"""

import asyncio
import logging
import os
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import redis.asyncio
from numpy.typing import NDArray
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from fraud.errors import FullHistoryError, HistoryError
from fraud.history.batch import Batch, joined
from fraud.history.remote.client import options, worded
from fraud.history.remote.scripts import text
from fraud.history.remote.store import RemoteStore
from fraud.schema import Schema
from fraud.settings import Settings
from monitoring.history_metrics import HistoryMetrics
from serving.history.online import Online, Steps

if TYPE_CHECKING:
    from fraud.history.remote.wire import Told
    from monitoring.storage.labelled import Labelled

LOG = logging.getLogger("bentoml.fraud")
_ROWS = 512
"""Of one round trip, unless one batch has more."""
_SOON_SECONDS = 0.005
_SECONDS = 5.0
"""After which a command has failed; it is tried again once, as it may be: ids tell."""

_Features = NDArray[np.float64]
_Asked = tuple[Batch, "asyncio.Future[_Features]"]


class OnlineRemote(Online):
    """``Online`` whose store is in Redis."""

    ROWS_AT_ONCE = 128

    def __init__(
        self,
        schema: Schema,
        key_fingerprint: str,
        read: Settings,
        metrics: HistoryMetrics,
        labelled: "Labelled | None" = None,
    ) -> None:
        super().__init__(schema, key_fingerprint, read, metrics, labelled)
        how = {"retry": Retry(NoBackoff(), 1), **options(_SECONDS)}
        self._client: Any = redis.asyncio.Redis.from_url(str(read.history_url), **how)
        self._scripts = [self._client.register_script(text(name)) for name in ("remember.lua", "add.lua")]
        self._asked = list[_Asked]()
        self._told: Told | None = None
        """What Redis is yet to be told: what transactions of the last round trip got."""
        self._going: asyncio.Task[None] | None = None
        self._came: asyncio.Future[None] | None = None
        self._is_late = False
        """Whether a call gave up on the round trip at hand."""
        self._own = f"\0{os.urandom(8).hex()}-"
        self._numbers = count()

    def _advance(self, batch: Batch) -> Steps:
        if not all(batch.names):  # what is asked twice is to be added once
            batch = batch._replace(names=[name or f"{self._own}{next(self._numbers)}" for name in batch.names])
        store = self.keeper.store
        if not isinstance(store, RemoteStore):
            return self._missed(batch, "broken")
        if self._is_late:
            return self._missed(batch, "deadline")
        future = asyncio.get_running_loop().create_future()
        self._asked.append((batch, future))
        if self._came is not None and not self._came.done():
            self._came.set_result(None)
        if self._going is None:
            self._going = asyncio.ensure_future(self._go_on(store))
        yield asyncio.wait([future], timeout=self._deadline_seconds)
        if not future.done():
            self._is_late = True
            future.cancel()
            return self._missed(batch, "deadline")
        try:
            found: _Features = future.result()
        except HistoryError as error:
            self.keeper.failed(store, error)
            return self._missed(batch, "full" if isinstance(error, FullHistoryError) else "broken")
        return found

    async def _go_on(self, store: RemoteStore) -> None:
        """Round trips, until there is nothing to ask and nothing to tell."""
        try:
            while self._asked or self._told:
                if not self._asked:  # the next that ask are told with it, if they come soon
                    self._came = asyncio.get_running_loop().create_future()
                    await asyncio.wait([self._came], timeout=_SOON_SECONDS)
                    self._came = None
                taken = self._taken()
                if not taken and self._told is None:
                    break  # all that asked gave up
                try:
                    features = await self._round_trip(store, [batch for batch, _ in taken])
                except Exception as error:
                    if not isinstance(error, HistoryError):
                        LOG.exception("histories could not be asked for")
                        error = HistoryError(f"histories could not be asked for: {type(error).__name__}")
                    for _, future in taken:
                        if not future.done():
                            future.set_exception(error)
                else:
                    start = 0
                    for batch, future in taken:
                        start, end = start + len(batch.times), start
                        if not future.done():
                            future.set_result(features[end:start])
                self._is_late = False
        finally:
            self._going, self._is_late = None, False

    def _taken(self) -> list[_Asked]:
        """Of those that were asked and did not give up, as many as one round trip takes."""
        asked = [one for one in self._asked if not one[1].done()]
        ends = np.cumsum([len(batch.times) for batch, _ in asked])
        taken = max(1, int(np.searchsorted(ends, _ROWS, side="right")))
        self._asked = asked[taken:]
        return asked[:taken]

    async def _round_trip(self, store: RemoteStore, batches: list[Batch]) -> _Features:
        """Add batches, and have what the last ones got noted; their features. Raises HistoryError."""
        told, self._told = self._told, None
        asked = store.wire.asked(joined(batches)) if batches else None
        with worded(store.url):
            try:
                reply = await self._sent(
                    [] if told is None else [*zip(*told.remember, strict=True)],
                    [] if asked is None else [asked.names, [store.facts, asked.plan]],
                )
            except RedisError as error:
                raise store.emptied(error) from None
        if asked is None:
            return np.empty((0, self._width))
        found = store.wire.told(asked, reply)
        self._told = found if found.remember else None
        self._waiting.added(found.added)
        return found.features

    async def _sent(self, *calls: list[Any], tries: int = 2) -> Any:  # noqa: ANN401 - what the last script says
        """Call the scripts of which there are keys and arguments, in one piece."""
        async with self._client.pipeline(transaction=False) as piece:
            for script, call in zip(self._scripts, calls, strict=True):
                if call:
                    piece.evalsha(script.sha, len(call[0]), *call[0], *call[1])
            try:
                return (await piece.execute())[-1]
            except NoScriptError:
                if tries == 1:
                    raise
                for script in self._scripts:
                    await self._client.script_load(script.script)
        return await self._sent(*calls, tries=tries - 1)
