"""A batch through the files by one call of ``batch.c``, where it is of the usual kind: in a fraction of the time.

The usual kind: no id was seen before, all rows have one or none has. All else is ``Store.add``'s, which gives the same
features and leaves the same bytes; so is everything where no binary fits the machine, or the file system may need room
for what is written over what is there (``filesystem.can_be_mapped``): a full disk would end the process.
"""

import ctypes
import mmap
import os
from collections.abc import Sequence
from os import SEEK_END, lseek

import numpy as np
from numpy.typing import NDArray

from fraud.history.files import journal as journals
from fraud.history.files import place
from fraud.history.files.ids import WAYS, Ids
from fraud.history.files.index import offset
from fraud.history.files.journal import Journal
from fraud.history.files.slots import Slots
from fraud.history.keys import KEY_BYTES, bytes_of, text_of
from fraud.history.layout import layouts as layouts_of
from fraud.rows import Texts
from fraud.schema import Schema
from fraud.scorer import kernel

MOST_HISTORIES = 16
_DONE, _NEW = 0, 2
_NO_KEY = "-" * len(text_of(bytes(KEY_BYTES)))
_FAILED = ctypes.c_void_p(-1).value
_NUMBER, _PLACE, _BYTES = ctypes.c_int64, ctypes.c_void_p, ctypes.c_char_p


class _File(ctypes.Structure):
    _fields_ = (("label", _BYTES), ("label_size", _NUMBER), ("base", _PLACE), ("size", _NUMBER))


class _Part(ctypes.Structure):
    _fields_ = (
        *(("file", _File), ("index", _File), ("buckets", _NUMBER)),
        *(("layout", _PLACE), ("scales", _PLACE), ("columns", _PLACE)),
    )


class _Store(ctypes.Structure):
    _fields_ = (
        *(("header", _NUMBER), ("journal", _File), ("ids", _File)),
        *((name, _NUMBER) for name in ("buckets", "bucket_size", "way_size", "ways", "parts", "width")),
        *(("inputs", _NUMBER), ("time", _NUMBER)),
        ("part", _Part * MOST_HISTORIES),
    )


class _Batch(ctypes.Structure):
    _fields_ = (
        *(("rows", _NUMBER), ("named", _NUMBER), ("latest", _NUMBER), ("inputs", _BYTES), ("hashes", _BYTES)),
        *((name, _PLACE) for name in ("features", "states", "keys", "offsets", "times", "place", "values")),
        ("texts", _BYTES * MOST_HISTORIES),
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

    def __init__(self, schema: Schema, slots: Sequence[Slots], ids: Ids, journal: Journal) -> None:
        self._schema, layouts = schema, layouts_of(schema)
        binary = kernel.load(kernel.FOLDER)
        self._call = None if binary is None else binary.fraud_add
        self._slots, self._ids, self._journal = slots, ids, journal
        texts = schema.of_kind("category", "key")
        self._keys = [texts.index(one.declared.key) for one in layouts]
        self._width = sum(len(one.made) for one in layouts)
        self._largest, self._sums = max(one.size for one in layouts), max(len(one.scales) for one in layouts)
        self._rooms = [_Room() for _ in range(6)]
        self._files = [
            _Mapped(journal.descriptor, b"", journals.SIZE),
            _Mapped(ids.descriptor, ids.label, place.HEADER + ids.buckets * ids.bucket_size),
            *(_Mapped(own.descriptor, own.label, place.HEADER + own.most * own.slot) for own in slots),
            *(_Mapped(own.index_descriptor, b"", offset(own.buckets)) for own in slots),
        ]
        held = self._held = _Store(place.HEADER, self._files[0].file, self._files[1].file)
        held.buckets, held.bucket_size, held.way_size, held.ways = ids.buckets, ids.bucket_size, ids.way_size, WAYS
        held.parts, held.width, held.inputs = len(layouts), self._width, len(schema.inputs)
        held.time = schema.inputs.index(str(schema.roles.time))
        columns = [
            np.array([schema.inputs.index(name) for name in one.declared.columns] or [0], np.int64) for one in layouts
        ]
        self._tables = [(one.table, one.scale_table, own) for one, own in zip(layouts, columns, strict=True)]
        states, indexes = self._files[2 : 2 + len(slots)], self._files[2 + len(slots) :]
        for number, (own, tables) in enumerate(zip(slots, self._tables, strict=True)):
            files = states[number].file, indexes[number].file
            held.part[number] = _Part(*files, own.buckets, *(table.ctypes.data for table in tables))
        of_parts = [held.part[number] for number in range(len(slots))]
        sized = [held.journal, held.ids, *(one.file for one in of_parts), *(one.index for one in of_parts)]
        self._sized = [(file, one.descriptor, one.most) for file, one in zip(sized, self._files, strict=True)]
        self._asked = _Batch()

    def add(
        self, rows: NDArray[np.float64], texts: Sequence[Texts], names: Sequence[str], latest: int
    ) -> NDArray[np.float64] | None:
        """Features ``(n, width)`` of a batch that was added; None where nothing was, and ``Store.add`` is to.

        ``rows``: float64 ``(n, inputs)``. ``latest``: microseconds since 1970; one that is later is not of the usual
        kind.
        """
        asked, count, call = self._asked, len(rows), self._call
        if call is None or (not all(names) and any(names)):
            return None
        for number, at in enumerate(self._keys):
            given = "".join([own[at] or _NO_KEY for own in texts]).encode()
            if len(given) != count * len(_NO_KEY):
                return None
            asked.texts[number] = given
        features = np.empty((count, self._width))
        asked.rows, asked.latest, asked.inputs = count, latest, rows.tobytes()
        asked.named, asked.hashes = (count, b"".join(map(self._ids.hashed, names))) if names[0] else (0, None)
        asked.features = ctypes.addressof(ctypes.c_char.from_buffer(features))  # type: ignore[arg-type]
        sizes = self._largest, KEY_BYTES, *(8,) * 3, 8 * self._sums
        places = [room.of((count + 1) * size) for room, size in zip(self._rooms, sizes, strict=True)]
        asked.states, asked.keys, asked.offsets, asked.times, asked.place, asked.values = places
        self._look_how_long()
        found = call(ctypes.byref(self._held), ctypes.byref(asked))
        if found == _NEW:
            self._make_room(texts)
            self._look_how_long()
            found = call(ctypes.byref(self._held), ctypes.byref(asked))
        return features if found == _DONE else None

    def _look_how_long(self) -> None:
        for file, descriptor, most in self._sized:  # what was cut off is never looked at: that would end the process
            file.size = min(lseek(descriptor, 0, SEEK_END), most)

    def _make_room(self, texts: Sequence[Texts]) -> None:
        """Slots for keys that were never seen, with states that say just that. Raises HistoryError."""
        for own, at in zip(self._slots, self._keys, strict=True):
            self._journal.begin()
            keys = [bytes_of(text) for text in dict.fromkeys(one[at] for one in texts) if text]
            new = [key for key, slot in zip(keys, own.read(keys)[0], strict=True) if slot < 0]
            if new:
                self._journal.commit(own.put(new, [-1] * len(new), bytes(own.size * len(new))), self._journal.newest)

    def close(self) -> None:
        """Take the files out of memory."""
        self._call = None
        for mapped in self._files:
            mapped.close()


class _Mapped:
    """A file in memory, as long as it may ever be."""

    def __init__(self, descriptor: int, label: bytes, most: int) -> None:
        self.descriptor, self.most, self._label = descriptor, most, label
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

    def close(self) -> None:
        self._system.munmap(self._base, self.most)
