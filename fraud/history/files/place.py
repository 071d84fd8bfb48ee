"""Files of the store: each begins with a block that says what it is, and is there whole or not at all."""

import errno
import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple, Self
from zlib import crc32

import numpy as np

from fraud.atomic import replacing
from fraud.errors import DamagedHistoryError
from fraud.settings import Settings

HEADER = 4096
COUNTS = HEADER - 32
"""Where the header's text ends; behind it stand numbers that change."""
FORMAT = 1
FILE = re.compile(r"(states|index|ids|labels)-[0-9a-f]{16}")
"""The name of a file of the store; one that was set aside has more behind it."""
_CHUNK = 1 << 20
_STEP = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = [(np.arange(1024, dtype=np.uint64) * np.uint64(2) + np.uint64(1)) * _STEP]


class Limits(NamedTuple):
    """Most keys of one history, and most ids of transactions, that are kept."""

    keys: int = 1_000_000
    ids: int = 200_000

    @classmethod
    def of(cls, read: Settings) -> Self:
        """Those that are set."""
        return cls(read.history_max_keys, read.history_max_ids)


LIMITS = Limits()


def checksum(data: bytes | bytearray) -> int:
    """32 bits of ``data``, by sums of 64 bits: in a compiled loop a tenth of the time of a CRC; ``batch.c`` has it too.

    Words of 8 bytes, little-endian, the last filled up with zeros, times odd numbers, each another.
    """
    words = np.frombuffer(bytes(data).ljust(-(-len(data) // 8) * 8, b"\0"), "<u8")
    while len(words) > len(_FACTORS[0]):
        _FACTORS[0] = (np.arange(2 * len(_FACTORS[0]), dtype=np.uint64) * np.uint64(2) + np.uint64(1)) * _STEP
    total = int((words * _FACTORS[0][: len(words)]).sum()) + len(data) * int(_STEP) & 0xFFFFFFFFFFFFFFFF
    return (total ^ total >> 32) & 0xFFFFFFFF


def make(path: Path, facts: dict[str, Any], size: int = HEADER, rest: bytes = b"", *, whole: bool = False) -> None:
    """A file of ``facts``, ``size`` bytes long, ``rest`` behind the header; with holes unless it is to be ``whole``."""
    text = json.dumps(facts | {"format": FORMAT}, sort_keys=True).encode()
    with replacing(path) as part:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write((b"%08x " % crc32(text) + text).ljust(COUNTS, b"\n").ljust(HEADER, b"\0") + rest)
            end = max(size, HEADER + len(rest))
            for at in range(HEADER + len(rest), end if whole else 0, _CHUNK):
                file.write(bytes(min(_CHUNK, end - at)))
            file.truncate(end)
            file.flush()
            os.fsync(descriptor)


def open_file(path: Path) -> int:
    """Its descriptor. Raises OSError."""
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def reserve(descriptor: int, at: int, size: int) -> None:
    """Make sure that the disk has room, before anything is changed. Raises OSError where it has none."""
    block = os.pread(descriptor, size, at)
    if os.pwrite(descriptor, block.ljust(size, b"\0"), at) < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def facts_of(descriptor: int, path: Path) -> dict[str, Any]:
    """What the header says. Raises DamagedHistoryError where it is not what was written."""
    block = os.pread(descriptor, COUNTS, 0)
    text = block[9:].rstrip(b"\n")
    if len(block) < COUNTS or block[:9] != b"%08x " % crc32(text):
        raise DamagedHistoryError(f"{path}: its first bytes are not those that were written")
    facts: dict[str, Any] = json.loads(text)
    return facts


def fingerprints(folder: Path) -> list[str]:
    """Those of all layouts that have states in the folder; of what was set aside there are none."""
    return [path.name[7:] for path in folder.glob("states-*") if FILE.fullmatch(path.name)]
