"""How many fields the records of a CSV file have, and which of them its header names.

pandas takes the first fields of each row for an index where rows are longer than the header, or drops the last ones
(``index_col=False``), and fills up rows that are shorter: the columns move, and nothing says so. Hence the fields of
the header and of the first row are counted here, and those of all rows where some may be too short.
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fraud.tables import csv_layout, refusals
from fraud.tables.found import DELIMITERS, Found


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


def count(path: Path, found: Found) -> Fields:
    """The fields of the file's header and of its first row. Raises DataError when no column is named."""
    with csv_layout.records(path, found) as records:
        header, first = next(records, []), next(records, [])
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


def check_even(path: Path, fields: Fields, found: Found) -> None:
    """Raise DataError unless every row has as many fields as the first. Reads the whole file."""
    between = DELIMITERS[found.separator][:-1]
    with csv_layout.records(path, found) as records:
        next(records)
        for row, record in enumerate(records):
            if len(record) != fields.per_row:
                problem = refusals.uneven_row(fields.per_row, len(record), row, between)
                raise refusals.wrong_table([problem], path)


def _names(header: list[str]) -> tuple[str, ...]:
    line = io.StringIO()
    csv.writer(line).writerow(header)
    line.seek(0)
    return tuple(pd.read_csv(line, index_col=False).columns)
