"""An index made anew from the slots, and which slots are free: whatever was damaged but the states themselves."""

import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Any
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


def free_slot(following: int, size: int) -> bytes:
    """A slot that is free; ``following``: the number of the next one plus one."""
    body = (NO_KEY + following.to_bytes(8, "little")).ljust(size - 4, b"\0")
    return body + place.checksum(body).to_bytes(4, "little")


def rebuild(descriptor: int, size: int, path: Path, facts: dict[str, Any]) -> int:
    """Make the index at ``path``; returns how many states were not what was written, or are gone from the end.

    ``descriptor``: of the states, whose slots take ``size`` bytes. There is no index until it is whole.
    """
    path.unlink(missing_ok=True)
    part, buckets = path.with_name(f".{path.name}.part"), int(facts["buckets"])
    place.make(part, facts, offset(buckets))
    index_descriptor = place.open_file(part)
    before = os.pread(descriptor, COUNTS.size, place.COUNTS)
    used, was_free, _ = COUNTS.unpack(before)
    is_known = before == packed_counts(used, was_free)
    try:
        index, changed = Index(index_descriptor, buckets), dict[int, bytes]()
        slot = free = damaged = 0
        while chunk := os.pread(descriptor, max(1, _CHUNK // size) * size, place.HEADER + slot * size):
            for at in range(0, len(chunk) - size + 1, size):
                one = chunk[at : at + size]
                whole, no_key = is_whole(one, size), one.startswith(NO_KEY)
                if whole and not no_key:
                    whole = not _stands_before(descriptor, one, index.slots(one[:KEY_BYTES], changed))
                if no_key or not whole or not index.added(one[:KEY_BYTES], slot, changed):
                    was_never_used = is_known and slot >= used and not any(one)
                    damaged += not (no_key and whole) and not was_never_used
                    os.pwrite(descriptor, free_slot(free, size), place.HEADER + slot * size)
                    free = slot + 1
                slot += 1
            if len(chunk) % size:
                break
        for at, bucket in changed.items():
            os.pwrite(index_descriptor, bucket, offset(at))
    finally:
        os.close(index_descriptor)
    if is_known:
        damaged += max(0, used - slot)
    os.ftruncate(descriptor, place.HEADER + slot * size)
    os.pwrite(descriptor, packed_counts(slot, free), place.COUNTS)
    part.replace(path)
    return damaged


def _stands_before(descriptor: int, one: bytes, slots: Iterator[int]) -> bool:
    """Whether one of ``slots`` is of the same key, since a damaged index did not find it; it gets the later state."""
    for slot in slots:
        at = place.HEADER + slot * len(one)
        other = os.pread(descriptor, len(one), at)
        if other.startswith(one[:KEY_BYTES]):
            if _latest(one) > _latest(other):
                os.pwrite(descriptor, one, at)
            return True
    return False


def _latest(slot: bytes) -> int:
    return int.from_bytes(slot[KEY_BYTES + 8 : KEY_BYTES + 16], "little", signed=True)
