"""A table of transactions read and checked chunk by chunk, so that a file may be larger than memory.

What is refused is ``fraud.tables.table``'s to say, and in which words ``fraud.tables.refusals``'; a chunk with nothing
wrong is passed by a few comparisons of whole columns.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.compute
import pyarrow.parquet
from numpy.typing import NDArray
from pandas.api import types

from fraud.errors import one_line
from fraud.schema import COLUMNS, ID_COLUMN, ID_PATTERN, LABEL, bounds
from fraud.tables import csv_file, refusals, table

_BUFFER = 2**20  # bytes of a column read at once; without it, a whole row group is held


@dataclass(frozen=True)
class Chunk:
    """Checked rows, in their order: float64 ``(n, 30)``, their ids when given, and the share of the file read."""

    rows: NDArray[np.float64]
    ids: pyarrow.Array | None
    share: float


def read_chunks(path: Path, size: int, start: int = 0) -> Iterator[Chunk]:
    """The rows of a file from row ``start`` on, about ``size`` at once.

    ``start`` is where a chunk ended before. Raises DataError as ``table.read_table`` and ``table.check`` do, with the
    rows of the whole file, after the last row; a faulty row ends the chunks.
    """
    table.check_there(path)
    problems: list[str] = []
    faults: table.Faults = {}
    counts: Counter[tuple[str, str]] = Counter()
    row = 0
    for frame, share in _frames(path, size, start):
        row, first = row + len(frame), row
        if row <= start and start:
            continue
        chunk = _quick(frame, share) or _slow(frame, share)
        if isinstance(chunk, Chunk):
            if not (problems or faults):
                yield chunk
            continue
        problems = problems or chunk[0]
        for rule, rows in chunk[1].items():
            named = faults.setdefault(rule, [])
            named += [first + at for at in rows[: refusals.MAX_ROWS_NAMED - len(named)]]
            counts[rule] += len(rows)
    if problems or faults:
        raise table.refusal(problems, faults, counts)


def _slow(frame: pd.DataFrame, share: float) -> Chunk | tuple[list[str], table.Faults]:
    """By the rules one by one: the chunk, or what is wrong with it."""
    problems, faults = table.find_faults(frame, labelled=False)
    if problems or faults:
        return problems, faults
    checked = table.check(frame, labelled=False)
    ids = pyarrow.array(checked[ID_COLUMN], pyarrow.string()) if ID_COLUMN in checked else None
    return Chunk(checked[list(COLUMNS)].to_numpy(), ids, share)


def _quick(frame: pd.DataFrame, share: float) -> Chunk | None:
    """The chunk when all its columns are plain numbers within bounds and its ids plain text; else None: look closer."""
    names = [name for name in frame.columns if name not in (LABEL, ID_COLUMN)]
    if len(names) != len(COLUMNS) or set(names) != set(COLUMNS) or frame.columns.has_duplicates or not len(frame):
        return None
    if not all(isinstance(kind, np.dtype) and kind.kind in "fiu" for kind in frame.dtypes[list(COLUMNS)]):
        return None
    rows = frame[list(COLUMNS)].to_numpy(dtype=np.float64)
    limits = np.array([bounds(name) for name in COLUMNS])
    if not ((rows.min(axis=0) >= limits[:, 0]) & (rows.max(axis=0) <= limits[:, 1])).all():  # NaN fails both
        return None
    if ID_COLUMN not in frame:
        return Chunk(rows, None, share)
    ids = _plain_ids(frame[ID_COLUMN])
    return None if ids is None else Chunk(rows, ids, share)


def _plain_ids(values: pd.Series) -> pyarrow.Array | None:
    if types.is_integer_dtype(values.dtype) and not values.hasnans:
        values = values.astype(str)
    try:
        ids = pyarrow.array(values)
    except pyarrow.ArrowException:  # several types among them
        return None
    if ids.null_count or not (pyarrow.types.is_string(ids.type) or pyarrow.types.is_large_string(ids.type)):
        return None
    fits = pyarrow.compute.all(pyarrow.compute.match_substring_regex(ids, ID_PATTERN)).as_py()
    return ids.cast(pyarrow.string()) if fits else None


def _frames(path: Path, size: int, start: int) -> Iterator[tuple[pd.DataFrame, float]]:
    try:
        is_parquet = table.is_parquet(path)
        yield from _parquet(path, size, start) if is_parquet else csv_file.read_csv_chunks(path, size, table.READING)
    except OSError as error:
        raise refusals.unreadable(path, error) from None


def _parquet(path: Path, size: int, start: int) -> Iterator[tuple[pd.DataFrame, float]]:
    """Batches of one run of row groups after another; runs before ``start`` are not decoded and come as empty rows."""
    try:
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER) as file:
            done, total = 0, file.metadata.num_rows
            if not total:
                yield file.schema_arrow.empty_table().to_pandas().reset_index(drop=True), 1.0
                return
            for groups, rows in _runs(file.metadata, size):
                if done + rows <= start:
                    done += rows
                    yield pd.DataFrame(index=pd.RangeIndex(rows)), done / total
                    continue
                for batch in file.iter_batches(size, row_groups=groups):
                    done += len(batch)
                    frame = batch.to_pandas()
                    yield frame.reset_index(drop=frame.index.name is None), done / total
    except (pyarrow.ArrowException, ValueError) as error:
        raise refusals.malformed(path, "Parquet", one_line(error)) from None


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
