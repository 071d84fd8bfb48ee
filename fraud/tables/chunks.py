"""A table of transactions read and checked chunk by chunk, so that a file may be larger than memory.

What is refused is ``fraud.tables.table``'s to say, and in which words ``fraud.tables.refusals``'.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from fraud.inputs.keys import KeyHasher
from fraud.inputs.levels import Levels
from fraud.schema import Schema
from fraud.tables import csv_file, keys, parquet_file, refusals, table
from fraud.tables.extras import NOTHING_ASIDE, Aside
from fraud.tables.faults import Gathered

_Part = tuple[pd.DataFrame, float, pyarrow.Table]
"""Rows as they were read, the share of the file that was read, and the columns that are carried over."""

_BUFFER = 2**20  # bytes of a column read at once; without it, a whole row group is held


@dataclass(frozen=True)
class Chunk:
    """Checked rows in their order, float64 ``(n, inputs)``; their ids when given; the share of the file read."""

    rows: NDArray[np.float64]
    ids: pyarrow.Array | None
    share: float
    kept: pyarrow.Table
    """Columns that are carried over, as many as were asked for."""
    keys: Mapping[str, NDArray[np.object_]]
    """Hashes of keys by column, of the columns that are there or may be missing; none without a hasher."""
    frauds: NDArray[np.int8] | None
    """The label, where it was asked for."""


def read_chunks(
    path: Path,
    schema: Schema,
    levels: Levels,
    size: int,
    start: int = 0,
    aside: Aside = NOTHING_ASIDE,
    *,
    labelled: bool = False,
    hasher: KeyHasher | None = None,
) -> Iterator[Chunk]:
    """The rows of a file from row ``start`` on, about ``size`` at once; texts of categories as places in ``levels``.

    ``start`` is where a chunk ended before; ``labelled`` rows have a label, which is checked; ``hasher``: what keys are
    hashed with, if they are wanted. Raises DataError as ``table.read_table`` and ``table.check`` do, with the
    rows of the whole file, after the last row; a faulty row ends the chunks.
    """
    table.check_there(path)
    problems: list[str] = []
    faults, row = Gathered(), 0
    for frame, share, kept in _frames(path, schema, size, start, aside):
        row, first = row + len(frame), row
        if row <= start and start:
            continue
        checked = table.look(frame.drop(columns=list(aside.unchecked)), schema, labelled=labelled, others=False)
        problems = problems or [*checked.problems, *_remedy(frame, schema, aside)]
        faults.add(checked.faults, first)
        if not (problems or faults):
            hashes = {} if hasher is None else _hashes(frame, schema, hasher)
            yield _chunk(checked.frame, schema, levels, share, kept, hashes, labelled=labelled)
    if problems or faults:
        raise refusals.wrong_table([*problems, *faults.words()])


def _remedy(frame: pd.DataFrame, schema: Schema, aside: Aside) -> list[str]:
    """What can be done about columns that nobody knows."""
    unknown = set(frame.columns) - set(table.known_columns(schema)) - aside.unchecked
    return [refusals.KEEP_OR_DROP] if unknown else []


def _hashes(frame: pd.DataFrame, schema: Schema, hasher: KeyHasher) -> Mapping[str, NDArray[np.object_]]:
    """Of keys that may be missing, and are in every row, None."""
    none = {name: np.full(len(frame), None) for name in schema.of_kind("key") if schema.columns[name].missing}
    return none | keys.of_rows(frame, schema, hasher)


def _chunk(
    frame: pd.DataFrame,
    schema: Schema,
    levels: Levels,
    share: float,
    kept: pyarrow.Table,
    hashes: Mapping[str, NDArray[np.object_]],
    *,
    labelled: bool,
) -> Chunk:
    own = schema.roles.id
    ids = pyarrow.array(frame[own], pyarrow.string()) if own is not None and own in frame else None
    frauds = frame[str(schema.roles.label)].to_numpy() if labelled else None
    return Chunk(table.rows(frame, schema, levels), ids, share, kept, hashes, frauds)


def _frames(path: Path, schema: Schema, size: int, start: int, aside: Aside) -> Iterator[_Part]:
    try:
        if table.is_parquet(path):
            yield from _parquet(path, size, start, aside)
            return
        for frame, share in csv_file.read_csv_chunks(path, size, table.reading(schema)):
            yield frame, share, aside.of(frame)
    except OSError as error:
        raise refusals.unreadable(path, error) from None


def _parquet(path: Path, size: int, start: int, aside: Aside) -> Iterator[_Part]:
    """Batches of one run of row groups after another; runs before ``start`` are not decoded and come as empty rows."""
    with (
        parquet_file.errors(path),
        pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER) as file,
    ):
        done, total = 0, file.metadata.num_rows
        if not total:
            none = file.schema_arrow.empty_table()
            yield parquet_file.as_columns(none.to_pandas()), 1.0, none.select(aside.kept)
            return
        for groups, rows in _runs(file.metadata, size):
            if done + rows <= start:
                done += rows
                yield pd.DataFrame(index=pd.RangeIndex(rows)), done / total, pyarrow.table({})
                continue
            for batch in file.iter_batches(size, row_groups=groups):
                done += len(batch)
                kept = pyarrow.Table.from_batches([batch]).select(aside.kept).replace_schema_metadata(None)
                yield parquet_file.as_columns(batch.to_pandas()), done / total, kept


def _runs(metadata: pyarrow.parquet.FileMetaData, size: int) -> Iterator[tuple[list[int], int]]:
    """Row groups one after another, small ones together up to ``size`` rows, and how many rows they are."""
    groups: list[int] = []
    rows = 0
    for group in range(metadata.num_row_groups):
        more = metadata.row_group(group).num_rows
        if groups and rows + more > size:
            yield groups, rows
            groups, rows = [], 0
        groups, rows = [*groups, group], rows + more
    if groups:
        yield groups, rows
