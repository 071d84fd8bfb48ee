"""Columns of a file that its schema does not know: carried over to the output or dropped, when somebody says so."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow

from fraud.schema import Schema
from fraud.tables import csv_file, parquet_file, refusals, table
from fraud.tables.kinds import texts

ALL = "all"
"""Stands for every column that the schema does not know."""


@dataclass(frozen=True)
class Aside:
    """Columns of one file."""

    kept: tuple[str, ...] = ()
    """Carried over, in the order of the file; those that the schema knows are read as ever."""
    unchecked: frozenset[str] = frozenset()
    """Not the schema's: kept or dropped."""

    def of(self, frame: pd.DataFrame) -> pyarrow.Table:
        """The kept columns of a part of a CSV file, as texts: of a part alone nobody knows what a column is."""
        return pyarrow.table({name: pyarrow.array(texts(frame[name]), pyarrow.string()) for name in self.kept})


@dataclass(frozen=True)
class Extras:
    """What is to become of columns: names, or ``all``."""

    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()

    def of(self, path: Path, schema: Schema, taken: Collection[str]) -> Aside:
        """The columns of a file that are kept or dropped.

        ``taken`` are names that the output has anyway. Raises DataError for one of them, and for one that is not there.
        """
        if not (self.keep or self.drop):
            return Aside()
        columns = _columns(path)
        unknown = [name for name in columns if name not in table.known_columns(schema)]
        absent = [name for name in self.keep if name not in columns and name != ALL]
        if absent:
            raise refusals.nothing_to_keep(path, absent)
        kept = tuple(n for n in columns if n in self.keep or (ALL in self.keep and n in unknown and n not in self.drop))
        if twice := [name for name in kept if name in taken]:
            raise refusals.kept_twice(path, twice)
        dropped = unknown if ALL in self.drop else [name for name in unknown if name in self.drop]
        return Aside(kept, frozenset(dropped) | {name for name in kept if name in unknown})


NO_EXTRAS, NOTHING_ASIDE = Extras(), Aside()


def _columns(path: Path) -> Sequence[str]:
    try:
        return parquet_file.names(path) if table.is_parquet(path) else csv_file.names(path)
    except OSError as error:
        raise refusals.unreadable(path, error) from None
