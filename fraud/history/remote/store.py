"""What keys did before, kept in Redis for all replicas: the same as ``fraud.history.store`` keeps on one machine.

A batch is one round trip: a script reads and adds in one step. Nothing here waits longer than it is told.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, Self

import numpy as np
import redis
from numpy.typing import NDArray
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from fraud.errors import DamagedHistoryError, HistoryError
from fraud.history.address import shown
from fraud.history.batch import Batch
from fraud.history.labels import CHANGED, Outcome, first_of
from fraud.history.layout import Layout
from fraud.history.remote import names
from fraud.history.remote.client import options, worded
from fraud.history.remote.no_gate import NoGate
from fraud.history.remote.scripts import SCRIPTS, text
from fraud.history.remote.wire import Told, Wire, big_endian

FORMAT = 1
_DAY_MS = 86_400_000
MARGIN_MS = 2 * _DAY_MS
"""A state stays this much longer than it says anything: clocks differ, and rows come late."""
_AT_ONCE = 500
_LEAD_MS = 60_000


class RemoteStore:
    """An open store. Each method raises HistoryError where Redis cannot be had or refuses; DamagedHistoryError where it
    was emptied: open another one."""

    is_quick = True

    def __init__(
        self, url: str, layouts: Sequence[Layout], key_fingerprint: str, ids_seconds: float, wait_seconds: float
    ) -> None:
        self.gate, self.said, self.added = NoGate(), list[str](), 0
        self.outcomes = list[Outcome]()
        self.url, self._layouts = url, layouts
        self.wire = Wire(layouts, [*map(_keep_ms, layouts)], int(ids_seconds * 1000))
        self.width, self._token = self.wire.width, os.urandom(16)
        self._leads = False
        self.facts = json.dumps({"format": FORMAT, "key_fingerprint": key_fingerprint}).encode()
        self.client: Any = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 1), **options(wait_seconds))
        """Of the ``redis`` library, whose types say less than they mean."""
        self._add, self._remember, self._label, self._note = map(self.client.register_script, map(text, SCRIPTS))

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

    def _begin(self) -> None:
        """Say what is odd about the server, and whose the store is."""
        where = shown(self.url)
        about = self.client.info()
        if about.get("cluster_enabled"):
            raise HistoryError(
                f"{where} is a Redis Cluster, where a batch would be of several servers: name one server"
            )
        policy = about.get("maxmemory_policy", "noeviction")
        if about.get("maxmemory") and policy != "noeviction":
            self.said.append(
                f"{where}: maxmemory-policy is {policy}: when memory is short, histories leave without a word; with "
                "noeviction transactions are scored without theirs, and counted"
            )
        if self.client.set(names.FACTS, self.facts, nx=True):
            self.said.append(f"{where} holds no histories, and every key looks new: `python -m training history warm`")
        found = self.client.get(names.FACTS)
        if found != self.facts:
            raise self._other(found or b"")
        self.client.sadd(names.LAYOUTS, *(one.fingerprint for one in self._layouts))

    def _other(self, found: bytes) -> HistoryError:
        """Of a store that is not this one, by what it says of itself."""
        where, ours = shown(self.url), json.loads(self.facts)
        try:
            form, fingerprint = (json.loads(found)[name] for name in ours)
        except (ValueError, LookupError, TypeError):
            return HistoryError(f"{where}: {names.FACTS.decode()} is not of histories: name another database of Redis")
        if form != FORMAT:
            return HistoryError(f"{where}: histories of format {form}, this code has {FORMAT}")
        return HistoryError(
            f"{where} has histories of keys hashed with a FRAUD_KEY_SECRET of fingerprint {fingerprint}, and that of "
            f"{ours['key_fingerprint']} is set: set the other, or name another database of Redis"
        )

    def add(self, batch: Batch) -> NDArray[np.float64]:
        """Add transactions, and say what their windows hold then: float64 ``(n, width)``; as ``Store.add``."""
        with self._watched():
            asked = self.wire.asked(batch)
            told = self.wire.told(asked, self._add(keys=asked.names, args=[self.facts, asked.plan]), {})
            self.remember(told)
        self.added += told.added
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

    def labels_until(self) -> float:
        """Seconds since 1970 of labels that were applied; 0 for none."""
        with self._watched():
            return float(self.client.get(names.LABELS) or 0.0)

    def note_labels(self, until: float, before: float | None = None) -> bool:
        """Have those until then count as applied, if it was ``before`` until now; whether it was."""
        with self._watched():
            if before is None:
                return bool(self.client.set(names.LABELS, repr(until)))
            return bool(self._note(keys=[names.LABELS], args=[repr(before) if before else "", repr(until)]))

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
        keep = _keep_ms(layout)
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

    @contextmanager
    def _watched(self) -> Iterator[None]:
        with worded(self.url):
            try:
                yield
            except redis.exceptions.ResponseError as error:
                raise self.emptied(error) from None

    def emptied(self, error: RedisError) -> Exception:
        """What a script's error means."""
        if "NOFACTS" not in str(error):
            return error
        return DamagedHistoryError(
            f"{shown(self.url)} was emptied: histories begin anew; `python -m training history warm` fills them"
        )

    def lead(self) -> bool:
        """Whether it is this one that does for all what one is to do; for as long as it asks every few seconds."""
        with self._watched():
            client, own = self.client, self._token
            client.sadd(names.LAYOUTS, *(one.fingerprint for one in self._layouts))  # it may have been emptied since
            self._leads = bool(client.set(names.LEADER, own, nx=True, px=_LEAD_MS)) or (
                client.get(names.LEADER) == own and bool(client.set(names.LEADER, own, xx=True, px=_LEAD_MS))
            )
            return self._leads

    def newly_damaged(self) -> int:
        """None: Redis answers for its memory."""
        return 0

    def is_there(self) -> bool:
        """Where it was emptied, the next call says so."""
        return True

    def keys(self) -> dict[str, int]:
        """How many are of which history, only a look at all would tell."""
        return {}

    def memory(self) -> tuple[int, int]:
        """Bytes that Redis takes, with whatever else it holds, and may take; 0 where nothing limits it."""
        with self._watched():
            about = self.client.info("memory")
        return int(about["used_memory"]), int(about["maxmemory"])

    def sync(self) -> None:
        """Nothing to do: what Redis answered it has."""

    def close(self) -> None:
        """Let another lead, and close all connections."""
        with suppress(RedisError, OSError):
            if self._leads and self.client.get(names.LEADER) == self._token:
                self.client.delete(names.LEADER)
        self.client.close()


def _keep_ms(layout: Layout) -> int:
    return layout.keep_us // 1000 + MARGIN_MS
