"""What keys did before, kept in Redis for all replicas: the same as ``fraud.history.store`` keeps on one machine.

A script reads and adds in one step; another notes what each got, for when it is sent again. Nothing here waits
longer than it is told.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Self

import numpy as np
from numpy.typing import NDArray
from redis.exceptions import RedisError

from fraud.errors import HistoryError
from fraud.history.batch import Batch
from fraud.history.labels import CHANGED, Outcome, first_of
from fraud.history.layout import Layout
from fraud.history.remote import names
from fraud.history.remote.client import worded
from fraud.history.remote.connected import Connected
from fraud.history.remote.no_gate import NoGate
from fraud.history.remote.scripts import SCRIPTS, text
from fraud.history.remote.wire import Told, Wire, big_endian, keep_ms

_AT_ONCE = 500


class RemoteStore(Connected):
    """An open store. Each method raises HistoryError where Redis cannot be had or refuses; DamagedHistoryError where it
    was emptied: open another one."""

    is_quick = True

    def __init__(
        self, url: str, layouts: Sequence[Layout], key_fingerprint: str, ids_seconds: float, wait_seconds: float
    ) -> None:
        super().__init__(url, layouts, key_fingerprint, wait_seconds)
        self.gate, self.added, self.outcomes = NoGate(), 0, list[Outcome]()
        self.wire = Wire(layouts, int(ids_seconds * 1000))
        self.width = self.wire.width
        self._add, self._remember, self._label = map(self.client.register_script, map(text, SCRIPTS))

    @classmethod
    def open(
        cls,
        url: str,
        layouts: Sequence[Layout],
        key_fingerprint: str,
        ids_seconds: float = 600.0,
        wait_seconds: float = 10.0,
    ) -> Self:
        """Open the store at ``url``, or begin one. Raises HistoryError: of another secret, a cluster, not reachable."""
        try:
            store = cls(url, layouts, key_fingerprint, ids_seconds, wait_seconds)
        except (ValueError, RedisError) as error:
            raise HistoryError(f"FRAUD_HISTORY_URL: {error}") from None
        try:
            with worded(url):
                store._begin()
        except BaseException:
            store.close()
            raise
        return store

    def add(self, batch: Batch) -> NDArray[np.float64]:
        """Add transactions, and say what their windows hold then: float64 ``(n, width)``; as ``Store.add``."""
        with self._watched():
            asked = self.wire.asked(batch)
            told = self.wire.told(asked, self._add(keys=asked.names, args=[self.facts, asked.plan]), {})
            self.added += told.added
            with suppress(RedisError):  # whoever sends them again is counted anew, without itself
                self.remember(told)
        return told.features

    def remember(self, told: Told) -> None:
        """Note what transactions got."""
        if told.remember:
            ids, features = zip(*told.remember, strict=True)
            self._remember(keys=ids, args=features)

    def label(self, batch: Batch, frauds: Sequence[bool]) -> int:
        """Say which transactions were fraud, as ``Store.label``; ``outcomes``: what became of each label."""
        with self._watched():
            keys, plan = self.wire.labels(batch, frauds)
            said = self._label(keys=keys, args=[self.facts, plan])
        self.outcomes = [first_of([one.decode() for one in own]) for own in said]
        return sum(one in CHANGED for one in self.outcomes)

    def states(self, layout: Layout, keys: Sequence[bytes]) -> list[bytes]:
        """The states of keys, no bytes for one that was never seen."""
        with self._watched():
            found = self.client.mget([names.state_name(layout, key) for key in keys]) if keys else []
        return [bytes(big_endian(layout, one)) if one and len(one) == layout.size else b"" for one in found]

    def parts(self, layout: Layout) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Keys and states of a layout, some at a time; a state that changes meanwhile is as it was or as it is."""
        start = names.of_layout(layout.fingerprint)
        with self._watched():
            pattern = re.sub(rb"([*?\[\]\\])", rb"\\\1", start) + b"*"
            scan = self.client.scan_iter(match=pattern, count=_AT_ONCE)
        while True:
            with self._watched():
                keys = [name[len(start) :] for name in islice(scan, _AT_ONCE)]
            if not keys:
                return
            found = [(key, state) for key, state in zip(keys, self.states(layout, keys), strict=True) if state]
            if found:
                given, states = zip(*found, strict=True)
                yield [*given], [*states]

    def begin(self, layout: Layout, keys: Sequence[bytes], states: Sequence[bytes], newest: int) -> int:  # noqa: ARG002
        """Put the states of keys that have none; how many had none."""
        keep = keep_ms(layout)
        with self._watched(), self.client.pipeline(transaction=False) as many:
            for key, state in zip(keys, states, strict=True):
                many.set(names.state_name(layout, key), bytes(big_endian(layout, state)), nx=True, px=keep)
            return sum(map(bool, many.execute()))

    def forget_everywhere(self, keys: Sequence[bytes]) -> int:
        """Have keys never seen, by any layout; how many states went."""
        gone = 0
        with self._watched():
            for fingerprint in sorted(self.client.smembers(names.LAYOUTS)):
                start = names.of_layout(fingerprint.decode())
                for low in range(0, len(keys), _AT_ONCE):
                    gone += int(self.client.unlink(*(start + key for key in keys[low : low + _AT_ONCE])))
        return gone

    def newly_damaged(self) -> int:
        """None: Redis answers for its memory."""
        return 0

    def is_there(self) -> bool:
        """Where it was emptied, the next call says so."""
        return True

    def keys(self) -> dict[str, int]:
        """How many are of which history, only a look at all would tell."""
        return {}

    def sync(self) -> None:
        """Nothing to do: what Redis answered it has."""
