"""A batch through the files by one call of ``batch.c``, where it is of the usual kind: a third of the time.

The usual kind: every key was seen before, no id was, all rows have one or none has. All else, and everything where no
binary fits the machine, is ``Store.add``'s, which gives the same features and leaves the same bytes.
"""

import ctypes
from collections.abc import Sequence
from struct import pack

import numpy as np
from numpy.typing import NDArray

from fraud.history.batch import Batch
from fraud.history.files import place
from fraud.history.files.ids import WAYS, Ids
from fraud.history.files.journal import Journal
from fraud.history.files.slots import Slots
from fraud.history.layout import Layout
from fraud.scorer import kernel

MOST_HISTORIES = 16
WAITS = 2
_DONE = (0, WAITS)
_NUMBER, _PLACE, _BYTES = ctypes.c_int64, ctypes.c_void_p, ctypes.c_char_p


class _File(ctypes.Structure):
    _fields_ = (("label", _BYTES), ("label_size", _NUMBER), ("file", _NUMBER))


class _Part(ctypes.Structure):
    _fields_ = (("file", _File), ("layout", _PLACE), ("scales", _PLACE))


class _Store(ctypes.Structure):
    _fields_ = (
        *(("read", _PLACE), ("write", _PLACE), ("journal", _NUMBER), ("header", _NUMBER), ("ids", _File)),
        *((name, _NUMBER) for name in ("buckets", "bucket_size", "way_size", "ways", "parts", "width")),
        ("part", _Part * MOST_HISTORIES),
    )


class _Keys(ctypes.Structure):
    _fields_ = (*((name, _BYTES) for name in ("place", "values", "keys", "slots")), ("count", _NUMBER))


class _Batch(ctypes.Structure):
    _fields_ = (
        *(("rows", _NUMBER), ("named", _NUMBER), ("times", _BYTES), ("hashes", _BYTES)),
        *((name, _PLACE) for name in ("features", "states", "payload", "offsets")),
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
    """For the files of one store. ``waits``: whether the last batch stands in the journal alone, since a file could not
    be written."""

    def __init__(self, layouts: Sequence[Layout], slots: Sequence[Slots], ids: Ids, journal: Journal) -> None:
        binary = kernel.load(kernel.FOLDER)
        self._call = None if binary is None else binary.fraud_add
        self._layouts, self._slots, self._ids, self._journal, self.waits = layouts, slots, ids, journal, False
        self._width = sum(len(one.made) for one in layouts)
        self._sizes = [one.size for one in layouts]
        self._states, self._payload, self._offsets = _Room(), _Room(), _Room()
        self._of_row = ids.bucket_size + sum(self._sizes) + 256 * (1 + len(layouts))
        """Bytes of the journal that a row needs at most."""
        system = ctypes.CDLL(None)
        read, write = (ctypes.cast(getattr(system, name), _PLACE).value for name in ("pread", "pwrite"))
        self._store = _Store(read, write, journal.descriptor, place.HEADER, _file(ids.label, ids.descriptor))
        self._store.buckets, self._store.bucket_size, self._store.way_size = ids.buckets, ids.bucket_size, ids.way_size
        self._store.ways, self._store.parts, self._store.width = WAYS, len(layouts), self._width
        for number, (layout, own) in enumerate(zip(layouts, slots, strict=True)):
            tables = layout.table.ctypes.data, layout.scale_table.ctypes.data
            self._store.part[number] = _Part(_file(own.label, own.descriptor), *tables)
        self._batch = _Batch()

    def add(self, batch: Batch) -> NDArray[np.float64] | None:
        """Features ``(n, width)`` of a batch that was added; None where nothing was, and ``Store.add`` is to."""
        names, rows, asked = batch.names, len(batch.times), self._batch
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
        asked.states, asked.offsets = self._states.of(rows * max(self._sizes)), self._offsets.of(8 * rows)
        asked.payload = self._payload.of(24 + rows * self._of_row)
        found = self._call(ctypes.byref(self._store), ctypes.byref(asked))
        self.waits = found == WAITS
        return features if found in _DONE else None


def _file(label: bytes, descriptor: int) -> _File:
    return _File(label, len(label), descriptor)
