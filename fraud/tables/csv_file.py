"""How a CSV file of transactions is read, whole or in chunks. The rows are checked by ``fraud.tables.table``."""

import csv
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from fraud import schema
from fraud.errors import DataError, one_line
from fraud.tables import csv_fields, refusals
from fraud.tables.csv_fields import Fields

_NULLS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]


def read_csv(path: Path) -> pd.DataFrame:
    """Types are inferred over the whole file (one Time is written ``1e+05``); ids stay as they are written."""
    with _errors(path):
        fields = csv_fields.count(path)
        frame = pd.read_csv(path, **_options(path, fields))
        if csv_fields.may_be_uneven(frame):
            csv_fields.check_even(path, fields)
        return _checked(path, csv_fields.drop_surplus(path, frame, fields))


def read_csv_chunks(path: Path, rows: int) -> Iterator[tuple[pd.DataFrame, float]]:
    """Frames of ``rows`` rows, and the share of the file's bytes that was read. Types are inferred chunk by chunk."""
    row, is_even = 0, False
    with _errors(path):
        fields = csv_fields.count(path)
        with path.open("rb") as file, pd.read_csv(file, chunksize=rows, **_options(path, fields)) as reader:
            for frame in reader:
                if not is_even and csv_fields.may_be_uneven(frame):
                    csv_fields.check_even(path, fields)
                    is_even = True
                whole = _checked(path, csv_fields.drop_surplus(path, frame, fields, row))
                row += len(frame)
                yield whole.reset_index(drop=True), file.tell() / path.stat().st_size


def _options(path: Path, fields: Fields) -> dict[str, Any]:
    """How pandas is to read a CSV file of ours: each field a column, none an index."""
    return {
        "compression": "gzip" if csv_fields.is_gzip(path) else None,
        "header": 0,
        "names": [*fields.names, *fields.surplus],
        "index_col": False,
        "low_memory": False,
        "keep_default_na": False,
        "dtype": {schema.ID_COLUMN: str} | dict.fromkeys(fields.surplus, str),
        "na_values": dict.fromkeys((*schema.COLUMNS, schema.LABEL), _NULLS) | {key: [""] for key in fields.surplus},
    }


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """What pandas raises inside becomes a DataError of one line."""
    try:
        yield
    except UnicodeDecodeError:
        raise refusals.no_table(path, "not UTF-8 text") from None
    except (ValueError, EOFError, zlib.error, csv.Error) as error:  # pandas' parser errors are ValueErrors
        raise refusals.malformed(path, "CSV", one_line(error)) from None


def _checked(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` as it is. Raises DataError when what was read from ``path`` is no table."""
    if len(frame.columns) == 1:
        raise DataError(f"{path}: one column only; expected a header and commas between the fields")
    return frame
