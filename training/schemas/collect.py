"""One pass over the files of a data set: the facts of every column, with the label beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fraud.errors import DataError
from fraud.remote import sources
from training.schemas import names, reading
from training.schemas.column_facts import ColumnFacts


@dataclass
class Findings:
    """What the files hold."""

    files: list[str]
    label: str | None
    """The column that is taken for the label."""
    is_label_told: bool
    columns: dict[str, ColumnFacts] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    """How each file is written."""
    marked: str | None = None
    """The value of the label that was met first: facts count it."""
    rows: int = 0


def collect(files: Sequence[Path | str], label: str | None) -> Findings:
    """Read all files once, in chunks; ``files`` are paths, folders, patterns, or addresses in S3.

    Raises DataError when one is no table, or has other columns than the first, and RegistryError when S3 fails.
    """
    tables = sources.find([str(file) for file in files])
    found = Findings([table.file_name for table in tables], label, is_label_told=label is not None)
    for table in tables:
        with table.local() as path:
            _add_file(found, path)
    if not found.rows:
        raise DataError(f"{', '.join(table.name for table in tables)}: there are no rows to draft a schema from")
    return found


def _add_file(found: Findings, path: Path) -> None:
    for chunk in reading.chunks(path):
        if not found.rows:
            _begin(found, chunk.frame, path)
        found.words += [chunk.words] if chunk.words not in found.words else []
        _add(found, chunk, path)


def _begin(found: Findings, frame: pd.DataFrame, path: Path) -> None:
    columns = [str(name) for name in frame.columns]
    found.columns = {name: ColumnFacts(name) for name in columns}
    if found.label is None:
        found.label = _label_by_name(frame)
    elif found.label not in columns:
        raise DataError(f"{path}: there is no column {found.label!r} for a label; its columns are {', '.join(columns)}")
    for name in columns:
        if not 1 <= len(name) <= 64:
            raise DataError(f"{path}: the column {name!r} has {len(name)} characters; rename it, 64 is the most")
        if not name.isprintable():
            raise DataError(f"{path}: the column {name!r} has a name that cannot be printed; rename it")


def _label_by_name(frame: pd.DataFrame) -> str | None:
    ranks = {name: rank for name in map(str, frame.columns) if (rank := names.label_rank(name)) is not None}
    fitting = [name for name in ranks if len(set(_texts(frame[name])) - {""}) <= 2]
    return min(fitting, key=ranks.__getitem__, default=None)


def _add(found: Findings, chunk: reading.Chunk, path: Path) -> None:
    frame = chunk.frame
    if list(found.columns) != [str(name) for name in frame.columns]:
        other = set(found.columns) ^ set(map(str, frame.columns))
        raise DataError(
            f"{path}: its columns are not those of {found.files[0]}: {', '.join(sorted(other)) or 'another order'}"
        )
    marks = np.zeros(len(frame), np.bool_)
    if found.label is not None:
        labels = _texts(frame[found.label])
        if found.marked is None:
            found.marked = next((text for text in labels.unique() if text), None)
        marks = (labels == found.marked).to_numpy(dtype=bool)
    for name, facts in found.columns.items():
        facts.add(frame[name], marks, chunk.decimal)
    found.rows += len(frame)


def _texts(values: "pd.Series[Any]") -> "pd.Series[str]":
    """As the label is compared; nothing where there is no value."""
    return values.astype("str").str.strip().where(values.notna(), "").fillna("")
