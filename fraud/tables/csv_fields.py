"""How many fields the records of a CSV file have, and which of them its header names.

pandas takes the first fields of each row for an index where rows are longer than the header, or drops the last ones
(``index_col=False``), and fills up rows that are shorter: the columns move, and nothing says so. Hence the fields of
the header and of the first row are counted here, and those of all rows where some may be too short.
"""

import csv
import gzip
import io
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pandas as pd

from fraud.tables import refusals


@dataclass(frozen=True)
class Fields:
    """The fields of a file's records."""

    names: tuple[str, ...]
    """Those that the header names: all but the empty ones at its end. pandas renames a repeated or an empty one."""
    width: int
    """The most that the header or the first row has."""
    per_row: int
    """How many each row must have: as many as the first."""

    @property
    def surplus(self) -> range:
        """Positions of those without a name: they may be there, as long as they are empty."""
        return range(len(self.names), self.width)


def is_gzip(path: Path) -> bool:
    """Whether the name says that the file is compressed."""
    return path.name.lower().endswith(".gz")


def count(path: Path) -> Fields:
    """The fields of the file's header and of its first row. Raises DataError when no column is named."""
    records = _records(path)
    header, first = next(records, []), next(records, [])
    records.close()
    named = max((number for number, name in enumerate(header, 1) if name), default=0)
    if not named:
        raise refusals.malformed(path, "CSV", "the header names no column")
    return Fields(_names(header[:named]), max(len(header), len(first)), max(named, len(first)))


def drop_surplus(path: Path, frame: pd.DataFrame, fields: Fields, first_row: int = 0) -> pd.DataFrame:
    """``frame``, whose rows begin at ``first_row`` of the file, without its unnamed fields.

    Raises DataError when one of them holds something.
    """
    for position in fields.surplus:
        filled = frame.iloc[:, position].notna().to_numpy()
        if filled.any():
            row = int(filled.argmax())
            problem = refusals.unnamed_field(position + 1, str(frame.iloc[row, position]), first_row + row)
            raise refusals.wrong_table([problem], path)
    return frame.iloc[:, : len(fields.names)].set_axis(list(fields.names), axis=1)


def may_be_uneven(frame: pd.DataFrame) -> bool:
    """Whether a row ends in an empty field, as one that pandas filled up does; ``frame`` has its surplus fields."""
    last = frame.iloc[:, -1]
    return bool((last.isna() | (last == "")).any())


def check_even(path: Path, fields: Fields) -> None:
    """Raise DataError unless every row has as many fields as the first. Reads the whole file."""
    records = _records(path)
    next(records)
    for row, record in enumerate(records):
        if len(record) != fields.per_row:
            raise refusals.wrong_table([refusals.uneven_row(fields.per_row, len(record), row)], path)


def _names(header: list[str]) -> tuple[str, ...]:
    line = io.StringIO()
    csv.writer(line).writerow(header)
    line.seek(0)
    return tuple(pd.read_csv(line, index_col=False).columns)


def _records(path: Path) -> Generator[list[str]]:
    """The fields of each record; blank lines are none, as for pandas.

    Raises DataError where pandas would lose a comma: that of an empty first field after an empty line that ends in CR.
    """
    after_blank = False
    with (gzip.open if is_gzip(path) else open)(path, "rt", encoding="utf-8-sig", newline="") as lines:
        for record in csv.reader(lines):
            if not record or (len(record) == 1 and record[0].isspace()):
                after_blank = True
                continue
            if after_blank and not record[0] and "\r" in _line_ends(lines):
                raise refusals.malformed(path, "CSV", "a row begins with a comma after an empty line; remove that line")
            after_blank = False
            yield record


def _line_ends(lines: IO[Any]) -> tuple[str, ...]:
    """Those that were met so far."""
    ends: tuple[str, ...] | str | None = getattr(lines, "newlines", None)
    return ends if isinstance(ends, tuple) else (ends or "",)
