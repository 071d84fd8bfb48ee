"""A connection to the store in Redis: whose it is, how far its labels are, and who leads."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import redis
from redis.exceptions import RedisError

from fraud.errors import DamagedHistoryError
from fraud.history.address import shown
from fraud.history.labels import Mark, Marks
from fraud.history.layout import Layout
from fraud.history.remote import names, server
from fraud.history.remote.client import connect, worded
from fraud.history.remote.scripts import text

_LEAD_MS = 25_000


class Connected:
    """Of a model's layouts; ``said``: what is to be told of the server."""

    def __init__(self, url: str, layouts: Sequence[Layout], key_fingerprint: str, wait_seconds: float) -> None:
        self.url, self.said, self._layouts = url, list[str](), layouts
        self.facts, self._key_fingerprint = server.facts(key_fingerprint), key_fingerprint
        self._labelled = {one.fingerprint: names.labels_of(one) for one in layouts if one.delay_us >= 0}
        self._noted = list[bytes]()
        """What was noted of labels when ``labels`` was last asked."""
        self._leader, self._token, self._leads = names.leader_of(self._labelled), os.urandom(16), False
        self.client = connect(url, wait_seconds)
        self._note = self.client.register_script(text("note.lua"))

    def _begin(self) -> None:
        """Say what is odd about the server, and whose the store is."""
        self.said += server.oddities(self.client, self.url)
        found = self.client.get(names.FACTS)
        if found is None and self.client.set(names.FACTS, self.facts, nx=True):
            self.said.append(
                f"{shown(self.url)} holds no histories, and every key looks new: `python -m training history warm`"
            )
        else:
            server.check_key(found or self.client.get(names.FACTS) or b"", self._key_fingerprint, self.url)
        self._name_layouts()

    def _name_layouts(self) -> None:
        """Say which layouts have states here, where that is not said: a full Redis takes nothing."""
        own = {one.fingerprint for one in self._layouts}
        if more := own - {one.decode() for one in self.client.smembers(names.LAYOUTS)}:
            self.client.sadd(names.LAYOUTS, *more)

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
        """Bytes that Redis takes, and may take (``server.memory``)."""
        with self._watched():
            return server.memory(self.client)

    def close(self) -> None:
        """Let another lead, and close all connections."""
        with suppress(RedisError, OSError):
            if self._leads and self.client.get(self._leader) == self._token:
                self.client.delete(self._leader)
        self.client.close()
