"""An index made anew from the slots, and which slots are free: whatever was damaged but the states themselves."""

import os
from pathlib import Path
from struct import Struct
from zlib import crc32

from fraud.history.files import place
from fraud.history.files.index import Index, offset
from fraud.history.keys import KEY_BYTES

NO_KEY = bytes(KEY_BYTES)
COUNTS = Struct("<QQQ")
_CHUNK = 1 << 20


def packed_counts(used: int, free: int) -> bytes:
    """How many slots were ever used, and the number of the first free one plus one, with a checksum."""
    numbers = COUNTS.pack(used, free, 0)[:16]
    return numbers + (crc32(numbers) ^ crc32(bytes(16))).to_bytes(8, "little")


def is_whole(slot: bytes, size: int) -> bool:
    """Whether the bytes of a slot are what was written."""
    return len(slot) == size and place.checksum(slot[:-4]) == int.from_bytes(slot[-4:], "little")


def rebuild(descriptor: int, size: int, path: Path, buckets: int) -> int:
    """Make the index at ``path``; returns how many states were not what was written, or are gone from the end.

    ``descriptor``: of the states, whose slots take ``size`` bytes.
    """
    place.make(path, {"buckets": buckets}, offset(buckets))
    index_descriptor = place.open_file(path)
    try:
        index, changed = Index(index_descriptor, buckets), dict[int, bytes]()
        slot = free = damaged = 0
        while chunk := os.pread(descriptor, max(1, _CHUNK // size) * size, place.HEADER + slot * size):
            for at in range(0, len(chunk) - size + 1, size):
                one = chunk[at : at + size]
                if one.startswith(NO_KEY) or not is_whole(one, size) or not index.added(one[:KEY_BYTES], slot, changed):
                    damaged += not one.startswith(NO_KEY)
                    empty = (NO_KEY + free.to_bytes(8, "little")).ljust(size, b"\0")
                    os.pwrite(descriptor, empty, place.HEADER + slot * size)
                    free = slot + 1
                slot += 1
            if len(chunk) % size:
                break
        for at, bucket in changed.items():
            os.pwrite(index_descriptor, bucket, offset(at))
    finally:
        os.close(index_descriptor)
    before = os.pread(descriptor, COUNTS.size, place.COUNTS)
    used, was_free, _ = COUNTS.unpack(before)
    if before == packed_counts(used, was_free):
        damaged += max(0, used - slot)
    os.ftruncate(descriptor, place.HEADER + slot * size)
    os.pwrite(descriptor, packed_counts(slot, free), place.COUNTS)
    return damaged
