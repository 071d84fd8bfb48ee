"""Where the state of a key stands: buckets of tags and slot numbers, made anew from the slots whenever it is damaged.

A bucket is a checksum and ``WAYS`` entries of 16 bytes: the first 8 of the key, and the number of its slot plus one. A
search goes on to the next bucket only where one has no free entry; one that was given back there stays ``GONE``.
"""

import os
from collections.abc import Iterator, Mapping
from struct import Struct
from zlib import crc32

from fraud.errors import DamagedHistoryError
from fraud.history.files.place import HEADER

WAYS = 31
ENTRY = 16
BUCKET = 16 + WAYS * ENTRY
_FILL = 0.6
_ENTRY = Struct("<8sQ")
_FREE, _GONE = bytes(ENTRY), _ENTRY.pack(bytes(8), 2**64 - 1)
_TAGS = 16
_NONE: Mapping[int, bytes] = {}


def buckets_for(keys: int) -> int:
    """How many buckets so many keys need."""
    return max(2, -(-keys // int(WAYS * _FILL)))


class Index:
    """That of one file of states: ``descriptor`` of its own file, ``buckets`` in it."""

    def __init__(self, descriptor: int, buckets: int) -> None:
        self._descriptor, self._buckets = descriptor, buckets

    def slots(self, key: bytes, changed: Mapping[int, bytes] = _NONE) -> Iterator[int]:
        """Slots that may be the key's: all but the first time in 2**64 there is at most one."""
        tag = key[:8]
        for at in self._chain(key):
            bucket = changed.get(at) or self.bucket(at)
            found = bucket.find(tag, _TAGS)
            while found >= 0:
                if found % ENTRY == 0 and (slot := _ENTRY.unpack_from(bucket, found)[1]) not in (0, 2**64 - 1):
                    yield slot - 1
                found = bucket.find(tag, found + 1)
            if _place(bucket, _FREE) >= 0:
                return

    def added(self, key: bytes, slot: int, changed: dict[int, bytes]) -> bool:
        """Whether there was room for the key's slot; ``changed`` are buckets as they will be."""
        for at in self._chain(key):
            bucket = changed.get(at) or self.bucket(at)
            gone = _place(bucket, _GONE)
            if (place := gone if gone >= 0 else _place(bucket, _FREE)) >= 0:
                changed[at] = _with(bucket, place, _ENTRY.pack(key[:8], slot + 1))
                return True
        return False

    def removed(self, key: bytes, slot: int, changed: dict[int, bytes]) -> None:
        """Without the key's slot."""
        entry = _ENTRY.pack(key[:8], slot + 1)
        for at in self._chain(key):
            bucket = changed.get(at) or self.bucket(at)
            has_room = _place(bucket, _FREE) >= 0
            if (place := _place(bucket, entry)) >= 0:
                changed[at] = _with(bucket, place, _FREE if has_room else _GONE)
                return
            if has_room:
                return

    def bucket(self, at: int) -> bytes:
        """The bytes of a bucket. Raises DamagedHistoryError."""
        bucket = os.pread(self._descriptor, BUCKET, HEADER + at * BUCKET)
        if (len(bucket) < BUCKET or crc32(bucket[8:]) != int.from_bytes(bucket[:4], "little")) and bucket != bytes(
            BUCKET
        ):
            raise DamagedHistoryError("the index of the history store is not what was written")
        return bucket

    def _chain(self, key: bytes) -> Iterator[int]:
        start = int.from_bytes(key[8:16], "little") % self._buckets
        for step in range(self._buckets):
            yield (start + step) % self._buckets


def sealed(bucket: bytes) -> bytes:
    """A bucket with its checksum."""
    return crc32(bucket[8:]).to_bytes(8, "little") + bucket[8:]


def _with(bucket: bytes, place: int, entry: bytes) -> bytes:
    return sealed(bucket[:place] + entry + bucket[place + ENTRY :])


def _place(bucket: bytes, entry: bytes) -> int:
    """Where an entry stands, -1 for nowhere."""
    found = bucket.find(entry, _TAGS)
    while found >= 0 and found % ENTRY:
        found = bucket.find(entry, found + 1)
    return found


def offset(at: int) -> int:
    """Where a bucket stands in the file."""
    return HEADER + at * BUCKET
