"""Records on disk, in parts that fit in memory one at a time: what makes a table larger than memory one to sort."""

import os
import tempfile
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Records = NDArray[Any]
"""Of a structured dtype."""

WAITING_BYTES = 2**26
"""How much waits in memory before it is written."""


def unnamed(folder: Path) -> FileIO:
    """A new file without a name in ``folder``: it goes with the process, however that ends."""
    return tempfile.TemporaryFile(dir=folder, buffering=0)


class Spill:
    """Records of ``kind`` in ``parts``, in one file without a name.

    Raises OSError where ``folder`` has no room.
    """

    def __init__(self, folder: Path, kind: np.dtype[Any], parts: int) -> None:
        self.kind, self.parts = kind, parts
        self._file = unnamed(folder)
        self._extents: list[list[tuple[int, int]]] = [[] for _ in range(parts)]
        self._waiting: list[tuple[Records, NDArray[np.int64]]] = []
        self._bytes = self._end = 0

    def add(self, part: NDArray[np.integer[Any]], records: Records) -> None:
        """Put each record into its part; there they keep their order."""
        order = np.argsort(part, kind="stable")
        ends = np.searchsorted(part, np.arange(self.parts + 1), sorter=order)
        self._waiting.append((records[order], ends))
        self._bytes += records.nbytes
        if self._bytes >= WAITING_BYTES:
            self._write()

    def read(self, part: int) -> Records:
        """The records of a part. After all were added; from any thread."""
        descriptor = self._file.fileno()
        written = [_read(descriptor, *extent) for extent in self._extents[part]]
        waiting = [records[ends[part] : ends[part + 1]] for records, ends in self._waiting]
        return np.concatenate([*(np.frombuffer(one, self.kind) for one in written), *waiting, np.empty(0, self.kind)])

    def close(self) -> None:
        """Give the room back."""
        self._file.close()
        self._waiting.clear()

    def _write(self) -> None:
        for part, extents in enumerate(self._extents):
            content = b"".join(records[ends[part] : ends[part + 1]].tobytes() for records, ends in self._waiting)
            if content:
                _write(self._file.fileno(), content)
                extents.append((self._end, len(content)))
                self._end += len(content)
        self._waiting.clear()
        self._bytes = 0


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _read(descriptor: int, start: int, size: int) -> bytearray:
    """``pread`` may give less than was asked for."""
    content = bytearray(size)
    done = 0
    while done < size:
        got = os.preadv(descriptor, [memoryview(content)[done:]], start + done)
        if not got:
            raise OSError("a temporary file is shorter than what was written to it")
        done += got
    return content
