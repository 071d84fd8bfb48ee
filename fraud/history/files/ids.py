"""Ids of transactions that were added, with the features that each got: a stated number of them, the oldest leave.

A bucket is a checksum, how many ids ever came to it, and ``WAYS`` places of 16 bytes of the id's hash and its features;
the next id takes the place of the oldest. An id leaves when ``WAYS`` others came to its bucket: of the last eighth of
``most`` all but one in 100,000 are known.
"""

import os
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from zlib import crc32

from fraud.errors import DamagedHistoryError
from fraud.history.files import place
from fraud.history.files.journal import Change, label

WAYS = 8
HASH = 16
_HEAD = Struct("<II")


class Ids:
    """Those of transactions whose features take ``width`` bytes; ``kind`` tells features of one meaning."""

    def __init__(self, folder: Path, kind: str, width: int, most: int) -> None:
        self.name = f"ids-{kind}"
        self._label, self._kind = label(self.name), kind.encode()
        self._width, self._way = width, HASH + width
        self._bucket = _HEAD.size + WAYS * self._way
        self._buckets = max(1, -(-most // WAYS))
        self._read = dict[bytes, bytes]()
        """Buckets as ``known`` found them, for the ``put`` that follows."""
        self.replaced = False
        """Whether the file was another, which others may have open."""
        self.damaged = 0
        """Buckets that were not what was written: their ids are forgotten."""
        path = folder / self.name
        size = place.HEADER + self._buckets * self._bucket
        facts = {"kind": kind, "width": width, "buckets": self._buckets, "format": place.FORMAT}
        try:
            self.descriptor = place.open_file(path)
            found = place.facts_of(self.descriptor, path)
            places = max(self._buckets, found.get("buckets", 0))  # others may have a higher limit
            whole = place.HEADER + places * self._bucket
            if found == facts | {"buckets": places} and os.fstat(self.descriptor).st_size >= whole:
                self._buckets = places
                return
        except FileNotFoundError:
            pass
        except DamagedHistoryError:
            self.damaged += 1
            self._replace()
        else:
            self._replace()
        place.make(path, facts, size)
        self.descriptor = place.open_file(path)

    def _replace(self) -> None:
        os.close(self.descriptor)
        self.replaced = True

    def hashed(self, name: str) -> bytes:
        """An id as it is kept."""
        return blake2b(name.encode(), digest_size=HASH, key=self._kind).digest()

    def known(self, one: bytes) -> bytes | None:
        """The features that an id got; None for one that is not known."""
        bucket = self._read[one] = self._bucket_of(one)
        at = bucket.find(one, _HEAD.size)
        while at >= 0 and (at - _HEAD.size) % self._way:
            at = bucket.find(one, at + 1)
        return None if at < 0 else bucket[at + HASH : at + self._way]

    def put(self, hashes: Sequence[bytes], features: Sequence[bytes]) -> list[Change]:
        """The changes after which ids are known. Raises OSError when the disk is full."""
        buckets, read, self._read = dict[int, bytes](), self._read, {}
        for one, own in zip(hashes, features, strict=True):
            at = self._at(one)
            bucket = buckets.get(at) or read.get(one) or self._bucket_of(one)
            came = int.from_bytes(bucket[4:8], "little")
            if not came:
                place.reserve(self.descriptor, at, self._bucket)
            start = _HEAD.size + came % WAYS * self._way
            count = came + 1 if came < 2**31 else came - WAYS * 2**24
            body = count.to_bytes(4, "little") + bucket[8:start] + one + own + bucket[start + self._way :]
            buckets[at] = crc32(body).to_bytes(4, "little") + body
        return [(self.descriptor, self._label, at, bucket) for at, bucket in buckets.items()]

    def _bucket_of(self, one: bytes) -> bytes:
        bucket = os.pread(self.descriptor, self._bucket, self._at(one))
        if len(bucket) < self._bucket:
            raise DamagedHistoryError(f"{self.name} is cut off")
        checksum, came = _HEAD.unpack_from(bucket)
        if (checksum or came) and crc32(bucket[4:]) != checksum:
            self.damaged += 1
            return bytes(self._bucket)
        return bucket

    def _at(self, one: bytes) -> int:
        return place.HEADER + int.from_bytes(one[:8], "little") % self._buckets * self._bucket

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)
