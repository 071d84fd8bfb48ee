"""The columns of a table as they stand there, chunk by chunk: text of a CSV file, types of a Parquet file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet

from fraud.tables import csv_file, parquet_file, refusals, table
from fraud.tables.found import AS_WRITTEN, Reading

CHUNK_ROWS = 200_000
_WITH_GAPS = {
    pyarrow.int8(): pd.Int8Dtype(),
    pyarrow.int16(): pd.Int16Dtype(),
    pyarrow.int32(): pd.Int32Dtype(),
    pyarrow.int64(): pd.Int64Dtype(),
    pyarrow.uint8(): pd.UInt8Dtype(),
    pyarrow.uint16(): pd.UInt16Dtype(),
    pyarrow.uint32(): pd.UInt32Dtype(),
    pyarrow.uint64(): pd.UInt64Dtype(),
    pyarrow.bool_(): pd.BooleanDtype(),
}
"""Whole numbers stay whole where some are missing: an id of 18 digits is no float."""


@dataclass(frozen=True)
class Chunk:
    """Rows of a file."""

    frame: pd.DataFrame
    words: str
    """How the file is written."""
    decimal: str | None
    """The mark in its numbers, where they are text."""


def chunks(path: Path, shape: Reading = AS_WRITTEN) -> Iterator[Chunk]:
    """The rows of a file in constant memory; ``shape`` says what stays text in a CSV file, all of it by default.

    Raises DataError when it is no table.
    """
    table.check_there(path)
    try:
        yield from _parquet(path) if table.is_parquet(path) else _csv(path, shape)
    except OSError as error:
        raise refusals.unreadable(path, error) from None


def _csv(path: Path, shape: Reading) -> Iterator[Chunk]:
    found = csv_file.find(path, shape)
    if found.delimiter is None:
        raise refusals.one_column(path)
    for frame, _ in csv_file.read_csv_chunks(path, CHUNK_ROWS, shape):
        yield Chunk(frame, found.words(), found.decimal)


def _parquet(path: Path) -> Iterator[Chunk]:
    with parquet_file.errors(path):
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(CHUNK_ROWS):
            yield Chunk(_plain(batch), "Parquet", None)


def _plain(batch: pyarrow.RecordBatch) -> pd.DataFrame:
    """Dates as times, decimals as numbers, coded texts as texts."""
    columns = pyarrow.Table.from_batches([batch])
    for place, field in enumerate(columns.schema):
        if (plain := _plain_type(field.type)) is not None:
            columns = columns.set_column(place, field.name, columns.column(place).cast(plain))
    return parquet_file.as_columns(columns.to_pandas(types_mapper=_WITH_GAPS.get))


def _plain_type(kind: pyarrow.DataType) -> pyarrow.DataType | None:
    if pyarrow.types.is_date(kind):
        return pyarrow.timestamp("ms")
    if pyarrow.types.is_decimal(kind):
        return pyarrow.float64()
    if pyarrow.types.is_dictionary(kind):
        return _plain_type(kind.value_type) or kind.value_type
    return None
