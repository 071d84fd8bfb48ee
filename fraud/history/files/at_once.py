"""A batch through the files by one call of ``batch.c``, where it is of the usual kind: in a fraction of the time.

The usual kind: every key was seen before, no id was, all rows have one or none has. All else is ``Store.add``'s, which
gives the same features and leaves the same bytes; so is everything where no binary fits the machine, or the file system
may need room for what is written over what is there (``filesystem.can_be_mapped``): a full disk would end the process.
"""

import ctypes
import mmap
import os
from collections.abc import Sequence
from struct import pack

import numpy as np
from numpy.typing import NDArray

from fraud.history.batch import Batch
from fraud.history.files import journal as journals
from fraud.history.files import place
from fraud.history.files.ids import WAYS, Ids
from fraud.history.files.journal import Journal
from fraud.history.files.slots import Slots
from fraud.history.layout import Layout
from fraud.scorer import kernel

MOST_HISTORIES = 16
_FAILED = ctypes.c_void_p(-1).value
_NUMBER, _PLACE, _BYTES = ctypes.c_int64, ctypes.c_void_p, ctypes.c_char_p


class _File(ctypes.Structure):
    _fields_ = (("label", _BYTES), ("label_size", _NUMBER), ("base", _PLACE), ("size", _NUMBER))


class _Part(ctypes.Structure):
    _fields_ = (("file", _File), ("layout", _PLACE), ("scales", _PLACE))


class _Store(ctypes.Structure):
    _fields_ = (
        *(("header", _NUMBER), ("journal", _File), ("ids", _File)),
        *((name, _NUMBER) for name in ("buckets", "bucket_size", "way_size", "ways", "parts", "width")),
        ("part", _Part * MOST_HISTORIES),
    )


class _Keys(ctypes.Structure):
    _fields_ = (*((name, _BYTES) for name in ("place", "values", "keys", "slots")), ("count", _NUMBER))


class _Batch(ctypes.Structure):
    _fields_ = (
        *(("rows", _NUMBER), ("named", _NUMBER), ("times", _BYTES), ("hashes", _BYTES)),
        *((name, _PLACE) for name in ("features", "states", "offsets")),
        ("keys", _Keys * MOST_HISTORIES),
    )


class _Room:
    """Bytes that the call writes to, as many as were ever needed."""

    def __init__(self) -> None:
        self._held, self.place = bytearray(), 0

    def of(self, size: int) -> int:
        """Where so many bytes are."""
        if size > len(self._held):
            self._held = bytearray(2 * size)
            self.place = ctypes.addressof(ctypes.c_char.from_buffer(self._held))
        return self.place


class AtOnce:
    """For the files of one store, which ``can_be_mapped``; whoever has the gate calls."""

    def __init__(self, layouts: Sequence[Layout], slots: Sequence[Slots], ids: Ids, journal: Journal) -> None:
        binary = kernel.load(kernel.FOLDER)
        self._call = None if binary is None else binary.fraud_add
        self._slots, self._ids, self._journal = slots, ids, journal
        self._width = sum(len(one.made) for one in layouts)
        self._largest = max(one.size for one in layouts)
        self._states, self._offsets = _Room(), _Room()
        self._files = [
            _Mapped(journal.descriptor, b"", journals.SIZE),
            _Mapped(ids.descriptor, ids.label, place.HEADER + ids.buckets * ids.bucket_size),
            *(_Mapped(own.descriptor, own.label, place.HEADER + own.most * own.slot) for own in slots),
        ]
        held = self._held = _Store(place.HEADER, self._files[0].file, self._files[1].file)
        held.buckets, held.bucket_size, held.way_size, held.ways = ids.buckets, ids.bucket_size, ids.way_size, WAYS
        held.parts, held.width = len(layouts), self._width
        for number, (layout, mapped) in enumerate(zip(layouts, self._files[2:], strict=True)):
            held.part[number] = _Part(mapped.file, layout.table.ctypes.data, layout.scale_table.ctypes.data)
        self._sized = [held.journal, held.ids, *(held.part[number].file for number in range(len(layouts)))]
        self._asked = _Batch()

    def add(self, batch: Batch) -> NDArray[np.float64] | None:
        """Features ``(n, width)`` of a batch that was added; None where nothing was, and ``Store.add`` is to."""
        names, rows, asked = batch.names, len(batch.times), self._asked
        if self._call is None or (not all(names) and any(names)):
            return None
        for number, (own, keys, values) in enumerate(zip(self._slots, batch.keys, batch.values, strict=True)):
            order = dict[bytes, int]()
            at = [-1 if key is None else order.setdefault(key, len(order)) for key in keys]
            slots = own.where(order, self._journal.begin)
            if slots is None:
                return None
            of_keys = asked.keys[number]
            of_keys.place, of_keys.slots = pack(f"{rows}q", *at), pack(f"{len(slots)}q", *slots)
            of_keys.values, of_keys.keys, of_keys.count = values.tobytes(), b"".join(order), len(order)
        features = np.empty((rows, self._width))
        asked.rows, asked.named = rows, rows if names[0] else 0
        asked.times, asked.hashes = batch.times.tobytes(), b"".join(map(self._ids.hashed, names)) if names[0] else None
        asked.features = ctypes.addressof(ctypes.c_char.from_buffer(features))  # type: ignore[arg-type]
        asked.states, asked.offsets = self._states.of(rows * self._largest), self._offsets.of(8 * rows)
        for file, mapped in zip(self._sized, self._files, strict=True):
            file.size = mapped.size()  # what was cut off is never looked at: that would end the process
        return features if self._call(ctypes.byref(self._held), ctypes.byref(asked)) == 0 else None

    def close(self) -> None:
        """Take the files out of memory."""
        self._call = None
        for mapped in self._files:
            mapped.close()


class _Mapped:
    """A file in memory, as long as it may ever be."""

    def __init__(self, descriptor: int, label: bytes, most: int) -> None:
        self._descriptor, self._most, self._label = descriptor, most, label
        self._system = ctypes.CDLL(None, use_errno=True)
        self._system.mmap.restype = _PLACE
        self._system.mmap.argtypes = (_PLACE, ctypes.c_size_t, *(ctypes.c_int,) * 3, ctypes.c_int64)
        self._system.munmap.argtypes = (_PLACE, ctypes.c_size_t)
        how = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED
        base = self._system.mmap(None, most, *how, descriptor, 0)
        if base == _FAILED:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._base = base
        self.file = _File(label, len(label), base, 0)

    def size(self) -> int:
        """How many bytes are there."""
        return min(os.fstat(self._descriptor).st_size, self._most)

    def close(self) -> None:
        self._system.munmap(self._base, self._most)
