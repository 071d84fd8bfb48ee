"""Rows of files as records on disk: of each history whose they are, when, and what they add; of ids their hashes."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
from numpy.typing import NDArray

from fraud.history.amounts import times_of, values_of
from fraud.history.layout import Layout, layouts
from fraud.replay import spill
from fraud.replay.keyed import Keyed
from fraud.replay.spill import Records, Spill
from fraud.schema import Schema
from fraud.tables.chunks import Chunk

MOST_PARTS = 256
_PART_BYTES = 2**21
"""Of files: a part of records is a few times that, and a part of a packed file more."""
_IDS = np.dtype([("high", "<u8"), ("low", "<u8"), ("row", "<i8")])


def parts_of(size: int) -> int:
    """How many parts the records of files of so many bytes make."""
    return min(MOST_PARTS, 1 + size // _PART_BYTES)


def record_of(layout: Layout) -> "np.dtype[Any]":
    """What is kept of a row for a history."""
    fields = [("high", "<u8"), ("low", "<u8"), ("row", "<i8"), ("time", "<i8"), ("fraud", "u1")]
    return np.dtype([*fields, ("values", "<i8", (len(layout.scales),))])


@dataclass
class RowRecords:
    """All rows, once they were added: numbered from 0 in the order in which they were given."""

    schema: Schema
    folder: Path
    histories: list[Spill]
    ids: Spill
    salts: tuple[str, str]
    rows: int = 0
    newest_us: int | None = None

    @classmethod
    def begun(cls, schema: Schema, folder: Path, parts: int) -> "RowRecords":
        """No rows yet; their records go into ``folder``."""
        spills = [Spill(folder, record_of(layout), parts) for layout in layouts(schema)]
        salts = (secrets.token_hex(8), secrets.token_hex(8))
        return cls(schema, folder, spills, Spill(folder, _IDS, parts), salts)

    def add(self, chunk: Chunk) -> None:
        """The next rows."""
        numbers = np.arange(self.rows, self.rows + len(chunk.rows))
        times = times_of(chunk.rows, self.schema)
        keyed = {name: Keyed.of_texts(hashes) for name, hashes in chunk.keys.items()}
        for layout, own in zip(layouts(self.schema), self.histories, strict=True):
            slots, keys = keyed[layout.declared.key]
            records = np.zeros(len(numbers), dtype=own.kind)
            records["row"], records["time"] = numbers, times
            records["values"] = values_of(chunk.rows, self.schema, layout)
            records["fraud"] = 0 if chunk.frauds is None else chunk.frauds
            halves = np.append(keys.view("<u8"), np.zeros((1, 2), "<u8"), axis=0)[slots]
            records["high"], records["low"] = halves.T
            records = records[slots >= 0]
            own.add(_part(records, own.parts), records)
        if chunk.ids is not None:
            self._add_ids(chunk.ids, numbers)
        self.rows += len(numbers)
        newest = int(times.max())
        self.newest_us = newest if self.newest_us is None else max(newest, self.newest_us)

    def close(self) -> None:
        """Give the room on disk back."""
        for one in (*self.histories, self.ids):
            one.close()

    def superseded(self) -> NDArray[np.bool_]:
        """Rows whose id came again later: the last given holds. Kept on disk, a byte a row."""
        with spill.unnamed(self.folder) as file:  # a map holds it open by itself
            found = np.memmap(file, np.bool_, "w+", shape=(max(self.rows, 1),))[: self.rows]
        for part in range(self.ids.parts):
            records = self.ids.read(part)
            records = records[np.lexsort((records["row"], records["low"], records["high"]))]
            again = (records["high"][:-1] == records["high"][1:]) & (records["low"][:-1] == records["low"][1:])
            found[records["row"][:-1][again]] = True
        return found

    def _add_ids(self, ids: pyarrow.Array, numbers: NDArray[np.int64]) -> None:
        """128 bits of each; nobody can choose ids that meet, for the salts are made anew each time."""
        known = ids.is_valid().to_numpy(zero_copy_only=False)
        texts = ids.drop_null().to_numpy(zero_copy_only=False)
        records = np.zeros(len(texts), dtype=_IDS)
        records["row"] = numbers[known]
        for half, salt in zip(("high", "low"), self.salts, strict=True):
            records[half] = pd.util.hash_array(texts, hash_key=salt, categorize=False)
        self.ids.add(_part(records, self.ids.parts), records)


def _part(records: Records, parts: int) -> NDArray[np.int64]:
    return (records["low"] % np.uint64(parts)).astype(np.int64)
