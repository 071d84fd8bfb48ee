"""Changes of several files that are made all or not at all, however the process ends that makes them.

They are written to the journal first, in one piece with a checksum, then to their files, then the journal is emptied.
Whoever touches the store next looks at it: changes that stand in it whole are made again, others never began. The head
also holds the newest time that was added, and which start of the machine wrote last.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from struct import Struct, error

from fraud.errors import DamagedHistoryError, HistoryError
from fraud.history.files.place import checksum

_HEAD = Struct("<IIqQ")
_CHANGE = Struct("<QI")
SIZE = 1 << 20
"""Bytes of the file, written when it is made: a full disk leaves room for a batch."""
DEAD = 0xFFFFFFFF
"""In place of a length: this store was set aside, whoever has it open opens it anew."""
NEVER = -(2**63)

Change = tuple[int, bytes, int, bytes]
"""Descriptor of a file, its name with its length before it, where, and the bytes that go there."""


def label(name: str) -> bytes:
    """The name of a file as changes hold it."""
    return bytes([len(name)]) + name.encode()


class Journal:
    """With the gate held. ``descriptor``: of its file. ``open_file(name)`` opens a file that it names."""

    def __init__(self, descriptor: int, name: str, open_file: Callable[[str], int]) -> None:
        self.descriptor, self._name, self._open = descriptor, name, open_file
        self.newest, self.boot = NEVER, 0

    @staticmethod
    def empty(boot: int) -> bytes:
        """Bytes of a new one."""
        return _HEAD.pack(0, 0, NEVER, boot).ljust(SIZE, b"\0")

    def begin(self) -> None:
        """Read the head, and make changes that somebody began. Raises DamagedHistoryError, or HistoryError."""
        head = os.pread(self.descriptor, _HEAD.size, 0)
        if len(head) < _HEAD.size:
            raise DamagedHistoryError(f"{self._name}: the journal is cut off")
        length, expected, self.newest, self.boot = _HEAD.unpack(head)
        if length == DEAD:
            raise DamagedHistoryError(f"{self._name}: the store was set aside by another process")
        if length:
            self._recover(length, expected)

    def commit(self, changes: list[Change], newest: int) -> None:
        """Make ``changes``. Raises HistoryError where none is made and none will be: the disk is full;
        OSError where whoever comes next makes them."""
        payload = b"".join(
            [part for _, name, at, data in changes for part in (name, _CHANGE.pack(at, len(data)), data)]
        )
        head = _HEAD.pack(len(payload), checksum(payload), newest, self.boot)
        try:
            _write(self.descriptor, head + payload, 0)
        except OSError as problem:
            with suppress(OSError):  # what is cut off has another checksum, too
                self._clear(self.newest)
            raise HistoryError.not_writable(self._name, problem) from None
        self.newest = newest
        for descriptor, _, at, data in changes:
            if os.pwrite(descriptor, data, at) != len(data):
                _write(descriptor, data, at)  # the system says why
        self._clear(newest)

    def reborn(self, boot: int) -> None:
        """Note which start of the machine writes from now on."""
        self.boot = boot
        self._clear(self.newest)

    def kill(self) -> None:
        """Tell whoever has the store open that it is set aside."""
        _write(self.descriptor, _HEAD.pack(DEAD, 0, self.newest, self.boot), 0)

    def wipe(self) -> None:
        """Leave nothing of changes that were made: of a key that was forgotten, for one."""
        _write(self.descriptor, bytes(os.fstat(self.descriptor).st_size - _HEAD.size), _HEAD.size)

    def _clear(self, newest: int) -> None:
        _write(self.descriptor, _HEAD.pack(0, 0, newest, self.boot), 0)

    def _recover(self, length: int, expected: int) -> None:
        """Whole: whoever wrote it was killed on the way. Not whole: nothing was changed yet."""
        there = os.fstat(self.descriptor).st_size - _HEAD.size
        payload = os.pread(self.descriptor, length, _HEAD.size) if length <= there else b""
        try:
            if len(payload) == length and checksum(payload) == expected:
                self._make_again(_changes(payload))
            self._clear(self.newest)
        except OSError as problem:
            raise HistoryError.not_writable(self._name, problem) from None

    def _make_again(self, changes: list[tuple[str, int, bytes]]) -> None:
        opened = dict[str, int]()
        try:
            for name, at, data in changes:
                if name not in opened:
                    opened[name] = self._open(name)
                _write(opened[name], data, at)
        finally:
            for descriptor in opened.values():
                os.close(descriptor)


def _changes(payload: bytes) -> list[tuple[str, int, bytes]]:
    found, at = [], 0
    try:
        while at < len(payload):
            end = at + 1 + payload[at]
            where, size = _CHANGE.unpack_from(payload, end)
            found.append((payload[at + 1 : end].decode(), where, payload[end + 12 : end + 12 + size]))
            at = end + _CHANGE.size + size
    except (error, UnicodeDecodeError):
        raise DamagedHistoryError("the journal of the history store holds what nobody wrote") from None
    return found


def _write(descriptor: int, data: bytes, at: int) -> None:
    """All of it. Raises OSError."""
    written = os.pwrite(descriptor, data, at)
    while written < len(data):  # the system stopped at a limit, and says at the next attempt at which
        written += os.pwrite(descriptor, data[written:], at + written)
