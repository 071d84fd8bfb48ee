"""How a CSV file of transactions is read, whole or in chunks. The rows are checked by ``fraud.tables.table``."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from fraud import schema
from fraud.errors import DataError, one_line
from fraud.tables import refusals

_NULLS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]


def read_csv(path: Path) -> pd.DataFrame:
    """Types are inferred over the whole file (one Time is written ``1e+05``); ids stay as they are written."""
    with _errors(path):
        return _checked(path, pd.read_csv(path, **_options(path)))


def read_csv_chunks(path: Path, rows: int) -> Iterator[tuple[pd.DataFrame, float]]:
    """Frames of ``rows`` rows, and the share of the file's bytes that was read. Types are inferred chunk by chunk."""
    with _errors(path), path.open("rb") as file, pd.read_csv(file, chunksize=rows, **_options(path)) as reader:
        for frame in reader:
            yield _checked(path, frame).reset_index(drop=True), file.tell() / path.stat().st_size


def _options(path: Path) -> dict[str, Any]:
    """How pandas is to read a CSV file of ours."""
    return {
        "compression": "gzip" if path.name.lower().endswith(".gz") else None,
        "low_memory": False,
        "dtype": {schema.ID_COLUMN: str},
        "keep_default_na": False,
        "na_values": dict.fromkeys((*schema.COLUMNS, schema.LABEL), _NULLS),
    }


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """What pandas raises inside becomes a DataError of one line."""
    try:
        yield
    except UnicodeDecodeError:
        raise refusals.no_table(path, "not UTF-8 text") from None
    except (ValueError, EOFError, zlib.error) as error:  # pandas' parser errors are ValueErrors
        raise refusals.malformed(path, "CSV", one_line(error)) from None


def _checked(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` as it is. Raises DataError when what was read from ``path`` is no table."""
    if not isinstance(frame.index, pd.RangeIndex):
        raise refusals.malformed(path, "CSV", "the rows have more fields than the header")
    if len(frame.columns) == 1:
        raise DataError(f"{path}: one column only; expected a header and commas between the fields")
    return frame
