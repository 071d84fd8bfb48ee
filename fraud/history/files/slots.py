"""The states of one layout's keys in a file: slots of one size behind one another, each with its key and a checksum.

A slot is ``key (16) | state | checksum of both``; one whose key left is zero but for the number of the next free one.
Behind the header's text stand how many slots were ever used, and the first free one.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fraud.errors import DamagedHistoryError, FullHistoryError
from fraud.history.files import place
from fraud.history.files.index import BUCKET, Index, buckets_for, offset
from fraud.history.files.journal import Change, label
from fraud.history.files.rebuild import COUNTS, NO_KEY, free_slot, is_whole, packed_counts, rebuild
from fraud.history.keys import KEY_BYTES
from fraud.history.layout import Layout

_REMEMBERED = 200_000
"""Keys of which a worker remembers the slot."""
_CHUNK = 1 << 20


class Slots:
    """Those of one layout, opened with the gate held; ``most`` keys."""

    def __init__(self, folder: Path, fingerprint: str, most: int) -> None:
        self.name, self.index_name = f"states-{fingerprint}", f"index-{fingerprint}"
        self.label, self._index_label = label(self.name), label(self.index_name)
        path = folder / self.name
        self.descriptor = place.open_file(path)
        self.index_descriptor = -1
        try:
            facts = place.facts_of(self.descriptor, path)
            if facts.get("layout") != fingerprint:
                raise DamagedHistoryError(f"{path}: it is another file's")
        except DamagedHistoryError:
            os.close(self.descriptor)
            raise
        self.size, self.keep_us = int(facts["size"]), int(facts["keep_us"])
        self.slot = KEY_BYTES + self.size + 4
        self.most, self._folder = most, folder
        self._remembered: dict[bytes, int] = {}
        self.replaced = False
        """Whether the index was one of another size, which others may have open."""
        self.damaged = 0
        """Keys that began anew since their state was not what was written."""

    @staticmethod
    def make(folder: Path, layout: Layout) -> None:
        """An empty file for a layout."""
        (folder / f"index-{layout.fingerprint}").unlink(missing_ok=True)
        facts = {"layout": layout.fingerprint, "size": layout.size, "keep_us": layout.keep_us}
        place.make(folder / f"states-{layout.fingerprint}", facts)

    def open_index(self, *, anew: bool) -> None:
        """Open the index; make it where it is not there, is too small, or is to be made ``anew``.

        A larger one than ``most`` keys need stays: others may have a higher limit.
        """
        path, held = self._folder / self.index_name, (os.fstat(self.descriptor).st_size - place.HEADER) // self.slot
        buckets = buckets_for(max(self.most, held))
        anew |= not self._is_long_enough()
        try:
            self.index_descriptor = place.open_file(path)
            facts = place.facts_of(self.index_descriptor, path)
            if facts.get("index") != self.name:
                raise DamagedHistoryError(f"{path}: it is another file's")
            self.replaced = facts["buckets"] < buckets
            buckets = max(buckets, facts["buckets"])
            anew |= self.replaced or os.fstat(self.index_descriptor).st_size < offset(buckets)
        except (FileNotFoundError, DamagedHistoryError):
            anew = True
        if anew:
            if self.index_descriptor >= 0:
                os.close(self.index_descriptor)
            self.damaged += rebuild(self.descriptor, self.slot, path, {"index": self.name, "buckets": buckets})
            self.index_descriptor = place.open_file(path)
        self.buckets = buckets
        self._index = Index(self.index_descriptor, buckets)

    def _is_long_enough(self) -> bool:
        """Whether no slot is missing at the end."""
        try:
            return os.fstat(self.descriptor).st_size >= self._at(self.counts()[0])
        except DamagedHistoryError:
            return False

    def read(self, keys: Sequence[bytes]) -> tuple[list[int], list[bytes]]:
        """Slots and states of keys; -1 and no bytes for one that was never seen."""
        where, states, remembered = [], [], self._remembered
        for key in keys:
            slot = remembered.get(key, -1)
            body = self._body(slot, key) if slot >= 0 else None
            if body is None:
                slot, body = self._find(key)
            self.damaged += slot >= 0 and not body
            where.append(slot)
            states.append(body)
        return where, states

    def _body(self, slot: int, key: bytes) -> bytes | None:
        """The state in a slot; no bytes where it is damaged, None where it is another key's."""
        found = os.pread(self.descriptor, self.slot, self._at(slot))
        if is_whole(found, self.slot):
            return found[KEY_BYTES:-4] if found.startswith(key) else None
        if len(found) < self.slot:
            raise DamagedHistoryError(f"{self.name} is cut off")
        return b""

    def _find(self, key: bytes) -> tuple[int, bytes]:
        for slot in self._index.slots(key):
            body = self._body(slot, key)
            if body is None:
                continue
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = slot
            return slot, body
        return -1, b""

    def put(self, keys: Sequence[bytes], where: Sequence[int], states: bytes | bytearray) -> list[Change]:
        """The changes that give keys these states, in the slots that ``read`` named.

        Raises FullHistoryError when there is no room for those that were never seen.
        """
        changes, size = list[Change](), self.size
        if -1 in where:
            where = self._with_new(keys, where, changes)
        descriptor, name, slot_size = self.descriptor, self.label, self.slot
        for number, (key, slot) in enumerate(zip(keys, where, strict=True)):
            body = key + states[number * size : number * size + size]
            changes.append(
                (descriptor, name, place.HEADER + slot * slot_size, body + place.checksum(body).to_bytes(4, "little"))
            )
        return changes

    def _with_new(self, keys: Sequence[bytes], where: Sequence[int], changes: list[Change]) -> list[int]:
        """Slots for keys that have none: free ones, or behind the last."""
        used, free = self.counts()
        found, buckets = list(where), dict[int, bytes]()
        for number, key in enumerate(keys):
            if found[number] >= 0:
                continue
            slot, used, free = (free - 1, used, self._next_free(free - 1)) if free else (used, used + 1, 0)
            if used > self.most or not self._index.added(key, slot, buckets):
                raise FullHistoryError.of(self.most)
            place.reserve(self.descriptor, self._at(slot), self.slot)
            found[number] = slot
        self._and_counts(changes, buckets, used, free)
        return found

    def _and_counts(self, changes: list[Change], buckets: dict[int, bytes], used: int, free: int) -> None:
        for at, bucket in buckets.items():
            place.reserve(self.index_descriptor, offset(at), BUCKET)
            changes.append((self.index_descriptor, self._index_label, offset(at), bucket))
        changes.append((self.descriptor, self.label, place.COUNTS, packed_counts(used, free)))

    def free(self, keys: Sequence[bytes], where: Sequence[int]) -> list[Change]:
        """The changes after which keys were never seen."""
        used, free = self.counts()
        changes, buckets = list[Change](), dict[int, bytes]()
        for key, slot in zip(keys, where, strict=True):
            self._index.removed(key, slot, buckets)
            self._remembered.pop(key, None)
            changes.append((self.descriptor, self.label, self._at(slot), free_slot(free, self.slot)))
            free = slot + 1
        self._and_counts(changes, buckets, used, free)
        return changes

    def counts(self) -> tuple[int, int]:
        """How many slots were ever used, and the number of the first free one plus one."""
        block = os.pread(self.descriptor, COUNTS.size, place.COUNTS)
        used, free, _ = COUNTS.unpack(block)
        if block != packed_counts(used, free):
            raise DamagedHistoryError(f"{self.name}: what it says of its slots is not what was written")
        return int(used), int(free)

    def chunk(self, first: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Keys, a row of bytes each, and latest times from slot ``first`` on: without the gate, to choose with."""
        wanted = max(1, _CHUNK // self.slot)
        found = os.pread(self.descriptor, wanted * self.slot, self._at(first))
        rows = np.frombuffer(found, np.uint8, len(found) // self.slot * self.slot).reshape(-1, self.slot)
        latest = rows[:, KEY_BYTES + 8 : KEY_BYTES + 16].copy().view("<i8").ravel()
        return rows[:, :KEY_BYTES], latest

    def _next_free(self, slot: int) -> int:
        """Of a free slot the number of the next one plus one; none where it is no free one."""
        found = os.pread(self.descriptor, self.slot, self._at(slot))
        is_free = found[:KEY_BYTES] == NO_KEY and is_whole(found, self.slot)
        return int.from_bytes(found[KEY_BYTES : KEY_BYTES + 8], "little") if is_free else 0

    def _at(self, slot: int) -> int:
        return place.HEADER + slot * self.slot

    def close(self) -> None:
        """Close both files."""
        for descriptor in (self.descriptor, self.index_descriptor):
            if descriptor >= 0:
                os.close(descriptor)
