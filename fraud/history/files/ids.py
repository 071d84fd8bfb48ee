"""Ids of transactions that were added, with the features that each got: a stated number of them, the oldest leave.

A bucket is a checksum, how many ids ever came to it, and ``WAYS`` places of 16 bytes of the id's hash and its features;
the next id takes the place of the oldest. An id leaves when ``WAYS`` others came to its bucket: of the last eighth of
``most`` all but one in 100,000 are known.
"""

import os
from collections.abc import Sequence
from hashlib import blake2b, sha256
from pathlib import Path
from struct import Struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraud.errors import DamagedHistoryError
from fraud.history.files import place
from fraud.history.files.journal import Change, label
from fraud.history.layout import Layout

WAYS = 8
HASH = 16
_HEAD = Struct("<II")


class New(NamedTuple):
    """Rows that are to be added, the hash of the id of each (none without one), and rows that stand in a batch before,
    each with its first."""

    rows: list[int]
    hashes: list[bytes]
    repeated: list[tuple[int, int]]


class Ids:
    """Those of transactions whose features take ``width`` bytes; ``kind`` tells features of one meaning."""

    def __init__(self, folder: Path, kind: str, width: int, most: int) -> None:
        self.name = f"ids-{kind}"
        self.label, self._kind = label(self.name), kind.encode()
        self._width, self.way_size = width, HASH + width
        self.bucket_size = _HEAD.size + WAYS * self.way_size
        self.buckets = max(1, -(-most // WAYS))
        self._read = dict[bytes, bytes]()
        """Buckets as ``known`` found them, for the ``put`` that follows."""
        self.replaced = False
        """Whether the file was another, which others may have open."""
        self.damaged = 0
        """Buckets that were not what was written: their ids are forgotten."""
        path = folder / self.name
        size = place.HEADER + self.buckets * self.bucket_size
        facts = {"kind": kind, "width": width, "buckets": self.buckets, "format": place.FORMAT}
        try:
            self.descriptor = place.open_file(path)
            found = place.facts_of(self.descriptor, path)
            places = max(self.buckets, found.get("buckets", 0))  # others may have a higher limit
            whole = place.HEADER + places * self.bucket_size
            if found == facts | {"buckets": places} and os.fstat(self.descriptor).st_size >= whole:
                self.buckets = places
                return
        except FileNotFoundError:
            pass
        except DamagedHistoryError:
            self.damaged += 1
            self._replace()
        else:
            self._replace()
        place.make(path, facts, size, whole=True)
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
        at = self._place(bucket, one)
        return None if at < 0 else bucket[at + HASH : at + self.way_size]

    def new(self, names: Sequence[str], features: NDArray[np.float64]) -> New:
        """Which rows are to be added; fills in the features of those whose ids are known."""
        found, first = New([], [], []), dict[str, int]()
        for row, name in enumerate(names):
            if not name:
                found.rows.append(row)
                found.hashes.append(b"")
            elif (before := first.setdefault(name, row)) != row:
                found.repeated.append((row, before))
            else:
                one = self.hashed(name)
                if (known := self.known(one)) is None:
                    found.rows.append(row)
                    found.hashes.append(one)
                else:
                    features[row] = np.frombuffer(known, "<f8")
        return found

    def put(self, hashes: Sequence[bytes], features: Sequence[bytes]) -> list[Change]:
        """The changes after which ids are known, one that was known before by what it gets now."""
        buckets, read, self._read = dict[int, bytes](), self._read, {}
        for one, own in zip(hashes, features, strict=True):
            at = self._at(one)
            bucket = buckets.get(at) or read.get(one) or self._bucket_of(one)
            count, start = int.from_bytes(bucket[4:8], "little"), self._place(bucket, one)
            if start < 0:
                start = _HEAD.size + count % WAYS * self.way_size
                count += 1 if count < 2**31 else -WAYS * 2**24
            body = count.to_bytes(4, "little") + bucket[8:start] + one + own + bucket[start + self.way_size :]
            buckets[at] = place.checksum(body).to_bytes(4, "little") + body
        return [(self.descriptor, self.label, at, bucket) for at, bucket in buckets.items()]

    def _place(self, bucket: bytes, one: bytes) -> int:
        """Where an id stands, -1 for nowhere."""
        at = bucket.find(one, _HEAD.size)
        while at >= 0 and (at - _HEAD.size) % self.way_size:
            at = bucket.find(one, at + 1)
        return at

    def _bucket_of(self, one: bytes) -> bytes:
        bucket = os.pread(self.descriptor, self.bucket_size, self._at(one))
        if len(bucket) < self.bucket_size:
            raise DamagedHistoryError(f"{self.name} is cut off")
        checksum, came = _HEAD.unpack_from(bucket)
        if (checksum or came) and place.checksum(bucket[4:]) != checksum:
            self.damaged += 1
            return bytes(self.bucket_size)
        return bucket

    def _at(self, one: bytes) -> int:
        return place.HEADER + int.from_bytes(one[:8], "little") % self.buckets * self.bucket_size

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)


def kind_of(layouts: Sequence[Layout]) -> str:
    """Tells apart what features of transactions mean: 16 hexadecimal digits."""
    facts = [(one.fingerprint, [made.name for made in one.made]) for one in layouts]
    return sha256(repr(facts).encode()).hexdigest()[:16]
