"""Features of histories of every row, as a file: in the order of the input, each with its id where it has one."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from fraud.atomic import replacing
from fraud.history.layout import layouts
from fraud.replay.spill import Spill, unnamed
from fraud.schema import Schema
from fraud.tables.chunks import Chunk

_ROWS = 2**18
"""Of a row group: they are put together in memory."""
_MOST_PARTS = 4_096


class FeaturesFile:
    """What is put into ``target`` part by part; nothing unless it is ``wanted``."""

    def __init__(self, schema: Schema, target: Path, *, wanted: bool) -> None:
        self._schema, self._target, self._wanted = schema, target, wanted
        self._rows = 0
        self._widths = [len(layout.made) for layout in layouts(schema)]
        self._made: list[Spill] = []
        if wanted:
            self._ids_file = unnamed(target.parent)
            self._ids = pyarrow.ipc.new_stream(self._ids_file, pyarrow.schema({"id": pyarrow.string()}))

    def add_ids(self, chunk: Chunk) -> None:
        """Those of the next rows."""
        if self._wanted:
            self._rows += len(chunk.rows)
            ids = pyarrow.nulls(len(chunk.rows), pyarrow.string()) if chunk.ids is None else chunk.ids
            self._ids.write_batch(pyarrow.record_batch({"id": ids}))

    def add(self, number: int, rows: NDArray[np.int64], features: NDArray[np.float64] | None) -> None:
        """Features of one history, of these rows. After all ids were added."""
        if features is None:
            return
        if not self._made:
            parts = -(-self._rows // self._block)
            self._made = [Spill(self._target.parent, _kind(width), parts) for width in self._widths]
        records = np.empty(len(rows), dtype=self._made[number].kind)
        records["row"], records["values"] = rows, features
        self._made[number].add(rows // self._block, records)

    def write(self, gone: NDArray[np.bool_]) -> None:
        """Make the file, without the rows that are ``gone``; it appears whole."""
        if not self._wanted:
            return
        self._ids.close()
        self._ids_file.seek(0)
        own = self._schema.roles.id
        columns = {
            **({own: pyarrow.string()} if own else {}),
            **dict.fromkeys(self._schema.histories, pyarrow.float64()),
        }
        ids = _Ids(pyarrow.ipc.open_stream(self._ids_file))
        with (
            replacing(self._target) as part,
            pyarrow.parquet.ParquetWriter(part, pyarrow.schema(columns), compression="zstd") as file,
        ):
            for block, first in enumerate(range(0, self._rows, self._block)):
                kept = ~gone[first : first + self._block]
                values = self._values(block, len(kept))[kept]
                named = [ids.take(len(kept)).filter(pyarrow.array(kept))] if own else []
                file.write_table(pyarrow.table([*named, *values.T], schema=pyarrow.schema(columns)))

    def close(self) -> None:
        """Give the room on disk back."""
        for spill in self._made:
            spill.close()
        if self._wanted:
            self._ids_file.close()

    @property
    def _block(self) -> int:
        return max(_ROWS, -(-self._rows // _MOST_PARTS))

    def _values(self, block: int, count: int) -> NDArray[np.float64]:
        """Of ``count`` rows, NaN where there is no key."""
        values = np.full((count, sum(self._widths)), np.nan)
        first = 0
        for spill, width in zip(self._made, self._widths, strict=True):
            records = spill.read(block)
            values[records["row"] - block * self._block, first : first + width] = records["values"]
            first += width
        return values


class _Ids:
    """The next so many of a stream of batches."""

    def __init__(self, batches: Any) -> None:  # noqa: ANN401 - pyarrow ships no types
        self._batches = batches
        self._left = pyarrow.array([], pyarrow.string())

    def take(self, count: int) -> pyarrow.Array:
        parts, have = [self._left], len(self._left)
        while have < count:
            parts.append(self._batches.read_next_batch().column(0))
            have += len(parts[-1])
        whole = pyarrow.concat_arrays(parts)
        self._left = whole[count:]
        return whole[:count]


def _kind(width: int) -> "np.dtype[Any]":
    return np.dtype([("row", "<i8"), ("values", "<f8", (width,))])
