"""Histories that replicas share, in Redis: a round trip for all that came meanwhile, beside the event loop.

Two may be on their way: were there one alone, whoever came while it was would wait for it, and then for the next.

A call that is late is scored without, and waits to be added; the command itself goes on, and until one ended nobody
else waits. So a connection is never given up in the middle, and one that takes long to be made is made.
"""

import asyncio
import logging
import os
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import redis.asyncio
from numpy.typing import NDArray
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError

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
    from fraud.history.remote.wire import Asked
    from monitoring.storage.labelled import Labelled

LOG = logging.getLogger("bentoml.fraud")
_ROWS = 512
"""Of one round trip, unless one batch has more."""
_ON_THEIR_WAY = 2
_SOON_SECONDS = 0.005
_TURNS = 8
"""Of the event loop, in which a reply that is there is heard: where it is the loop that is late, Redis is not."""
_SECONDS = 5.0
"""After which a command has failed; it is tried again once, as it may be: ids tell."""

_Features = NDArray[np.float64]
_Notes = dict[bytes, bytes]
"""Of names of ids the features of each."""
_Call = tuple[Batch, "asyncio.Future[_Features]"]


async def _wait(future: "asyncio.Future[_Features]", seconds: float) -> None:
    await asyncio.wait([future], timeout=seconds)
    for _ in range(_TURNS):
        if future.done():
            return
        await asyncio.sleep(0)


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
        self._asked = list[_Call]()
        self._to_note: _Notes = {}
        """What Redis is yet to be told: what transactions of the last round trips got."""
        self._noted: _Notes = {}
        """Those on their way to it, too."""
        self._going = set[asyncio.Task[None]]()
        self._idle = list[asyncio.Future[None]]()
        """Of those that go, who wait for calls."""
        self._is_late = False
        """Whether a call gave up on the round trips at hand."""
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
        if self._idle:
            self._idle.pop().set_result(None)
        elif len(self._going) < _ON_THEIR_WAY:
            self._going.add(asyncio.ensure_future(self._go_on(store)))
        try:
            yield _wait(future, self._deadline_seconds)
        except GeneratorExit:  # whoever called is gone; it is to be added all the same
            future.add_done_callback(partial(self._left, batch))
            raise
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

    def _left(self, batch: Batch, future: "asyncio.Future[_Features]") -> None:
        if not future.cancelled() and future.exception() is not None:
            self._waiting.put(batch)

    async def _go_on(self, store: RemoteStore) -> None:
        """Round trips, until there is nothing to ask and nothing to tell."""
        try:
            while self._asked or self._to_note:
                if not self._asked:  # the next that ask are sent with it, if they come soon
                    self._idle.append(idle := asyncio.get_running_loop().create_future())
                    await asyncio.wait([idle], timeout=_SOON_SECONDS)
                    if not idle.done():
                        self._idle.remove(idle)
                taken = self._taken()
                if not taken and not self._to_note:
                    break  # all that asked gave up, or another took them
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
            self._going -= {asyncio.current_task()}
            if not self._going:
                self._is_late = False

    def _taken(self) -> list[_Call]:
        """Of those that were asked and did not give up, as many as one round trip takes."""
        asked = [one for one in self._asked if not one[1].done()]
        ends = np.cumsum([len(batch.times) for batch, _ in asked])
        taken = max(1, int(np.searchsorted(ends, _ROWS, side="right")))
        self._asked = asked[taken:]
        return asked[:taken]

    async def _round_trip(self, store: RemoteStore, batches: list[Batch]) -> _Features:
        """Add batches, and have what the last ones got noted; their features. Raises HistoryError."""
        asked = store.wire.asked(joined(batches)) if batches else None
        known = self._known(asked)
        notes, self._to_note = self._to_note, {}
        with worded(store.url):
            try:
                reply = await self._sent(
                    [[*notes], [*notes.values()]] if notes else [],
                    [] if asked is None else [asked.names, [store.facts, asked.plan]],
                )
            except RedisError as error:
                raise store.emptied(error) from None
            finally:
                for name in notes.keys() - self._to_note.keys():
                    self._noted.pop(name, None)
        if asked is None:
            return np.empty((0, self._width))
        found = store.wire.told(asked, reply, known | self._known(asked))
        self._to_note.update(found.remember)
        self._noted.update(found.remember)
        self._waiting.added(found.added)
        return found.features

    def _known(self, asked: "Asked | None") -> _Notes:
        """What ids of a batch got, where Redis may not be told yet."""
        return {} if asked is None else {name: self._noted[name] for name in asked.ids if name in self._noted}

    async def _sent(self, *calls: list[Any], tries: int = 2) -> Any:  # noqa: ANN401 - what the last script says
        """Call the scripts of which there are keys and arguments, in one piece."""
        async with self._client.pipeline(transaction=False) as piece:
            for script, call in zip(self._scripts, calls, strict=True):
                if call:
                    piece.evalsha(script.sha, len(call[0]), *call[0], *call[1])
            try:
                return (await piece.execute())[-1]
            except ReadOnlyError:  # another leads now, by the same address
                await self._client.connection_pool.disconnect()
                raise
            except NoScriptError:
                if tries == 1:
                    raise
                for script in self._scripts:
                    await self._client.script_load(script.script)
        return await self._sent(*calls, tries=tries - 1)
