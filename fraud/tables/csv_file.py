"""How a CSV file is read, whole or in chunks, in constant memory. What its columns must hold is no business of this.

Delimiter, decimal mark, encoding and compression are found from its bytes by ``fraud.tables.csv_layout``.
"""

import codecs
import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from fraud.errors import one_line
from fraud.tables import csv_fields, csv_layout, decimals, packing, refusals
from fraud.tables.csv_fields import Fields
from fraud.tables.found import AS_WRITTEN, Found, Reading

_BLOCK = 2**20


def find(path: Path, shape: Reading) -> Found:
    """What is found of the file before it is read. Raises DataError when it is no CSV, or could be read in two ways."""
    with _errors(path):
        return csv_layout.find(path, shape)


def names(path: Path) -> tuple[str, ...]:
    """The columns that the header names. Raises DataError when it is no CSV."""
    with _errors(path):
        return csv_fields.count(path, csv_layout.find(path, AS_WRITTEN)).names


def read_csv(path: Path, shape: Reading) -> tuple[pd.DataFrame, Found]:
    """The table, and what was found of the file. Types are inferred over the whole file (one number is ``1e+05``)."""
    with _errors(path):
        frame, found = _read(path, shape, None)
        if len(frame.columns) == 1:
            raise refusals.one_column(path)
        return frame, found


def read_text(path: Path, rows: int | None = None) -> tuple[pd.DataFrame, Found]:
    """Every column as text exactly as it is written, empty fields as ``""``; the first ``rows`` where that is given.

    A file of one column is read as well. ``read_csv_chunks(path, rows, AS_WRITTEN)`` is the same in chunks.
    """
    with _errors(path):
        return _read(path, AS_WRITTEN, rows)


def read_csv_chunks(path: Path, rows: int, shape: Reading) -> Iterator[tuple[pd.DataFrame, float]]:
    """Frames of ``rows`` rows, and the share of the file that was read. Types are inferred chunk by chunk."""
    row, is_even = 0, False
    with _errors(path):
        found = csv_layout.find(path, shape)
        fields = csv_fields.count(path, found)
        if len(fields.names) == 1 and shape.text is not None:
            raise refusals.one_column(path)
        with _content(path, found) as (content, share):
            for frame in pd.read_csv(content, chunksize=rows, **_options(fields, found, shape)):
                if not is_even and csv_fields.may_be_uneven(frame):
                    csv_fields.check_even(path, fields, found)
                    is_even = True
                named = csv_fields.drop_surplus(path, frame, fields, row).reset_index(drop=True)
                whole = decimals.checked(path, named, found, shape, row)
                row += len(frame)
                yield whole, share()


def _read(path: Path, shape: Reading, rows: int | None) -> tuple[pd.DataFrame, Found]:
    found = csv_layout.find(path, shape)
    fields = csv_fields.count(path, found)
    with _content(path, found) as (content, _):
        frame = pd.read_csv(content, nrows=rows, **_options(fields, found, shape))
    if csv_fields.may_be_uneven(frame):
        csv_fields.check_even(path, fields, found)
    return decimals.checked(path, csv_fields.drop_surplus(path, frame, fields), found, shape), found


def _options(fields: Fields, found: Found, shape: Reading) -> dict[str, Any]:
    """How pandas is to read the file: each field a column, none an index."""
    text = [name for name in fields.names if shape.is_text(name)]
    others = [name for name in fields.names if not shape.is_text(name)]
    return {
        "sep": found.separator,
        "decimal": found.decimal or ".",
        "header": 0,
        "names": [*fields.names, *fields.surplus],
        "index_col": False,
        "low_memory": False,
        "keep_default_na": False,
        "dtype": dict.fromkeys([*text, *fields.surplus], str),
        "na_values": {key: list(shape.missing) for key in others} | {key: [""] for key in fields.surplus},
    }


class _Bytes:
    """A stream of UTF-8 for pandas, which takes bytes as they are from what it does not know to be binary."""

    def __init__(self, read: Any) -> None:  # noqa: ANN401
        self.read = read

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(_BLOCK), b"")


@contextmanager
def _content(path: Path, found: Found) -> Iterator[tuple[Any, Any]]:
    """What pandas reads, from the header on, and the share of the file that was read so far."""
    with packing.opened(path) as unpacked:
        unpacked.stream.read(found.start)
        is_utf_8 = found.encoding == "utf-8"
        stream = unpacked.stream
        yield _Bytes(stream.read) if is_utf_8 else csv_layout.decoded(stream, found), unpacked.share


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """What a library raises inside becomes a DataError of one line."""
    try:
        yield
    except UnicodeDecodeError:
        raise refusals.not_text(path, _bad_byte(path)) from None
    except (ValueError, csv.Error, *packing.DAMAGE) as error:  # pandas' parser errors are ValueErrors
        raise refusals.malformed(path, "CSV", one_line(error)) from None


def _bad_byte(path: Path) -> str:
    """Where the first byte is that no UTF-8 text has; nothing for a file of another encoding."""
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    with packing.opened(path) as unpacked:
        while block := unpacked.stream.read(_BLOCK):
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                line += error.object[: error.start].count(b"\n")
                return f" (byte 0x{error.object[error.start]:02x} in line {line})"
            line += block.count(b"\n")
    return ""
