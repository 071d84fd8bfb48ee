"""A connection to the store in Redis: whose it is, how far its labels are, and who leads."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from fraud.errors import DamagedHistoryError, HistoryError
from fraud.history.address import shown
from fraud.history.labels import Mark, Marks
from fraud.history.layout import Layout
from fraud.history.remote import names
from fraud.history.remote.client import options, worded
from fraud.history.remote.scripts import text

FORMAT = 1
_LEAD_MS = 25_000


class Connected:
    """Of a model's layouts; ``said``: what is to be told of the server."""

    def __init__(self, url: str, layouts: Sequence[Layout], key_fingerprint: str, wait_seconds: float) -> None:
        self.url, self.said, self._layouts = url, list[str](), layouts
        self.facts = json.dumps({"format": FORMAT, "key_fingerprint": key_fingerprint}).encode()
        self._labelled = {one.fingerprint: names.labels_of(one) for one in layouts if one.delay_us >= 0}
        self._noted = list[bytes]()
        """What was noted of labels when ``labels`` was last asked."""
        self._leader, self._token, self._leads = names.leader_of(self._labelled), os.urandom(16), False
        self.client: Any = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 1), **options(wait_seconds))
        """Of the ``redis`` library, whose types say less than they mean."""
        self._note = self.client.register_script(text("note.lua"))

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
        found = self.client.get(names.FACTS)
        if found is None and self.client.set(names.FACTS, self.facts, nx=True):
            self.said.append(f"{where} holds no histories, and every key looks new: `python -m training history warm`")
        elif (found := found or self.client.get(names.FACTS)) != self.facts:
            raise self._other(found or b"")
        self._name_layouts()

    def _name_layouts(self) -> None:
        """Say which layouts have states here, where that is not said: a full Redis takes nothing."""
        own = {one.fingerprint for one in self._layouts}
        if more := own - {one.decode() for one in self.client.smembers(names.LAYOUTS)}:
            self.client.sadd(names.LAYOUTS, *more)

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

    def labels(self) -> Marks:
        """How far they are applied."""
        with self._watched():
            found = self.client.mget([*self._labelled.values()]) if self._labelled else []
        self._noted = [one or b"" for one in found]
        return {
            own: Mark.read(one.decode("ascii", "replace")) for own, one in zip(self._labelled, self._noted, strict=True)
        }

    def note_labels(self, marks: Marks, *, unchanged: bool = False) -> bool:
        """Have ``labels`` say so; ``unchanged``: if it would say what it said last. Whether it does."""
        texts = [marks[own].text.encode() for own in self._labelled]
        with self._watched():
            if not unchanged:
                for name, one in zip(self._labelled.values(), texts, strict=True):
                    self.client.set(name, one)
            elif not self._note(keys=[*self._labelled.values()], args=[*self._noted, *texts]):
                return False
        self._noted = texts
        return True

    @contextmanager
    def _watched(self) -> Iterator[None]:
        with worded(self.url):
            try:
                yield
            except redis.exceptions.ReadOnlyError:  # another leads now, by the same address
                self.client.connection_pool.disconnect()
                raise
            except redis.exceptions.ResponseError as error:
                raise self.emptied(error) from None

    def emptied(self, error: RedisError) -> Exception:
        """What a script's error means."""
        if "NOFACTS" not in str(error):
            return error
        return DamagedHistoryError(
            f"{shown(self.url)} was emptied: `python -m training history warm` fills in what nobody used since"
        )

    def lead(self) -> bool:
        """Whether it is this one that does for all what one is to do; for as long as it asks every few seconds."""
        with self._watched():
            client, own = self.client, self._token
            self._name_layouts()  # it may have been emptied since
            self._leads = bool(client.set(self._leader, own, nx=True, px=_LEAD_MS)) or bool(
                self._note(keys=[self._leader], args=[own, own, _LEAD_MS])
            )
            return self._leads

    def memory(self) -> tuple[int, int]:
        """Bytes that Redis takes, with whatever else it holds, and may take; 0 where nothing limits it."""
        with self._watched():
            about = self.client.info("memory")
        return int(about["used_memory"]), int(about["maxmemory"])

    def close(self) -> None:
        """Let another lead, and close all connections."""
        with suppress(RedisError, OSError):
            if self._leads and self.client.get(self._leader) == self._token:
                self.client.delete(self._leader)
        self.client.close()
