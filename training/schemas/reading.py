"""The columns of a table as they stand there, chunk by chunk: text of a CSV file, types of a Parquet file."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet

from fraud.errors import DataError, one_line

CHUNK_ROWS = 200_000
_HEAD = 2**16


@dataclass(frozen=True)
class Found:
    """How a file is written."""

    delimiter: str
    decimal: str | None
    encoding: str

    def words(self) -> str:
        return f"CSV, {self.delimiter!r} between fields"


@dataclass(frozen=True)
class Chunk:
    """Rows of a file."""

    frame: pd.DataFrame
    words: str
    """How the file is written."""
    decimal: str | None


def chunks(path: Path) -> Iterator[Chunk]:
    """The rows of a file. Raises DataError when it is no table."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected a CSV or Parquet table")
    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    return _parquet(path) if is_parquet else _csv(path)


def _parquet(path: Path) -> Iterator[Chunk]:
    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(CHUNK_ROWS):
            yield Chunk(_plain(batch), "Parquet", None)
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file: {one_line(error)}") from None


def _plain(batch: pyarrow.RecordBatch) -> pd.DataFrame:
    """Dates as times, decimals as numbers, coded texts as texts."""
    table = pyarrow.Table.from_batches([batch])
    for place, field in enumerate(table.schema):
        if (plain := _plain_type(field.type)) is not None:
            table = table.set_column(place, field.name, table.column(place).cast(plain))
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return frame


def _plain_type(kind: pyarrow.DataType) -> pyarrow.DataType | None:
    if pyarrow.types.is_date(kind):
        return pyarrow.timestamp("ms")
    if pyarrow.types.is_decimal(kind):
        return pyarrow.float64()
    return kind.value_type if pyarrow.types.is_dictionary(kind) else None


def _csv(path: Path) -> Iterator[Chunk]:
    found = _find(path)
    options = {"sep": found.delimiter, "encoding": found.encoding, "dtype": str, "keep_default_na": False}
    with pd.read_csv(path, chunksize=CHUNK_ROWS, index_col=False, **options) as reader:
        for frame in reader:
            yield Chunk(frame, found.words(), found.decimal)


def _find(path: Path) -> Found:
    with path.open("rb") as file:
        head = file.read(_HEAD).decode("utf-8-sig", errors="ignore")
    first = head.partition("\n")[0]
    delimiter = max(",;\t|", key=first.count)
    few = pd.read_csv(io.StringIO(head.rpartition("\n")[0]), sep=delimiter, dtype=str, keep_default_na=False)
    commas = delimiter != "," and any(few[name].str.fullmatch(r"-?\d*,\d+").any() for name in few)
    return Found(delimiter, "," if commas else ".", "utf-8-sig")
