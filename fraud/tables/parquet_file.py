"""How a Parquet file is read whole, and what of the index that pandas saves in it is a column."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet

from fraud.errors import one_line
from fraud.tables import refusals

LEVELS = "index_levels"
"""Key of a frame's ``attrs``: the names of the levels that became columns, for what is said of unknown columns."""


@contextmanager
def errors(path: Path) -> Iterator[None]:
    """What Arrow raises inside becomes a DataError of one line."""
    try:
        yield
    except (pyarrow.ArrowException, ValueError) as error:
        raise refusals.malformed(path, "Parquet", one_line(error)) from None


def read(path: Path) -> pd.DataFrame:
    """The table. Raises DataError when there is none, OSError when the system does not let us read it."""
    with errors(path):  # one file, not a dataset: a folder named "label=1" above it must not become a column
        return as_columns(pyarrow.parquet.ParquetFile(path).read().to_pandas())


def write(frame: pd.DataFrame, target: Path, source: Path) -> None:
    """Write a table that was read from ``source``. Raises DataError where a column is of no one type."""
    with errors(source):
        frame.to_parquet(target, index=False)


def names(path: Path) -> list[str]:
    """The columns of the file, and the levels of its index that have a name. Raises as ``read`` does."""
    with errors(path):
        empty = pyarrow.parquet.ParquetFile(path).schema_arrow.empty_table().to_pandas()
        return [str(name) for name in as_columns(empty).columns]


def as_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with the named levels of its index as columns; levels without a name, as filtering leaves, go.

    Raises ValueError when a level has the name of a column.
    """
    levels = list(frame.index.names)
    named = [str(name) for name in levels if name is not None]
    unnamed = [number for number, name in enumerate(levels) if name is None]
    if not named:
        return frame.reset_index(drop=True)
    flat = frame.reset_index(level=unnamed, drop=True).reset_index() if unnamed else frame.reset_index()
    flat.attrs[LEVELS] = named
    return flat
