"""A table of transactions on disk: read it, then check it against a schema. Scoring a file starts here,
and so do training and monitoring. The serving process never imports this module: pandas is needed offline only.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.compute
import pyarrow.parquet
from numpy.typing import NDArray
from pandas.api import types

from fraud.inputs.levels import OTHER, Levels
from fraud.schema import ID_PATTERN, Schema
from fraud.tables import csv_file, kinds, parquet_file, refusals
from fraud.tables.faults import Faults, Gathered
from fraud.tables.found import Reading

PARQUET_SUFFIXES = (".parquet", ".pq")

LAYOUT = "layout"
NOT_EMPTY, LABEL_RULE = "not empty", "0 or 1"


def read_table(path: Path, schema: Schema) -> pd.DataFrame:
    """Read a CSV or Parquet file; ``schema`` says which columns are texts and what stands for a missing value.

    Nothing is checked yet, see ``check``. The frame's ``attrs[LAYOUT]`` says how a CSV file is laid out. Raises
    DataError with one line when there is no readable table.
    """
    check_there(path)
    try:
        if is_parquet(path):
            return parquet_file.read(path)
        frame, found = csv_file.read_csv(path, reading(schema))
        frame.attrs[LAYOUT] = found.words()
        return frame
    except OSError as error:
        raise refusals.unreadable(path, error) from None


def known_columns(schema: Schema) -> tuple[str, ...]:
    """Every column that a table of the schema may have."""
    return (*schema.columns, *(name for name in (schema.roles.label, schema.roles.id) if name))


def read_as(path: Path, schema: Schema) -> str:
    """What was found of a file's form, in words."""
    return "Parquet" if is_parquet(path) else csv_file.find(path, reading(schema)).words()


def reading(schema: Schema) -> Reading:
    """How a CSV file of the schema is to be read."""
    text = [name for name, column in schema.columns.items() if column.kind in ("category", "key", "ignored")]
    text += [name for name in schema.of_kind("time") if schema.columns[name].format is not None]
    text += [schema.roles.id] if schema.roles.id else []
    text += [schema.roles.label] if schema.roles.label and schema.roles.fraud else []
    return Reading(frozenset(text), schema.stands_for_missing("number"), frozenset(known_columns(schema)))


def check_there(path: Path) -> None:
    """Raise DataError unless ``path`` is a file that holds something."""
    if not path.exists():
        raise refusals.no_table(path, "no such file")
    if not path.is_file():
        raise refusals.no_table(path, "not a file")
    try:
        if path.stat().st_size == 0:
            raise refusals.no_table(path, "the file is empty")
    except OSError as error:
        raise refusals.unreadable(path, error) from None


def check(frame: pd.DataFrame, schema: Schema, *, labelled: bool) -> pd.DataFrame:
    """Validate ``frame`` against ``schema`` and return it in its order, rows in their given order.

    The result has the inputs, float64, NaN where a value may be missing (of categories their texts, or None), then the
    label as int8 when ``labelled`` (dropped otherwise), then the id as text when given, and of labelled rows keys and
    what is ignored, as texts: they tell transactions apart. Raises DataError naming each column, its rule and the first
    rows at fault; rows are counted from 0 after the header.
    """
    checked = look(frame, schema, labelled=labelled)
    if checked.problems or checked.faults:
        gathered = Gathered()
        gathered.add(checked.faults)
        raise refusals.wrong_table([*checked.problems, *gathered.words()])
    return checked.frame


def rows(checked: pd.DataFrame, schema: Schema, levels: Levels) -> NDArray[np.float64]:
    """The inputs of a checked frame as a row array, float64 ``(n, inputs)``: see ``fraud.inputs.levels``."""
    if not schema.categories:
        return checked[list(schema.inputs)].to_numpy(dtype=np.float64)
    result = np.empty((len(checked), len(schema.inputs)))
    for place, name in enumerate(schema.inputs):
        column = checked[name]
        result[:, place] = _places(column, levels[name]) if name in schema.categories else column.to_numpy()
    return result


def _places(texts: pd.Series, levels: Sequence[str]) -> NDArray[np.float64]:
    known: Any = pd.Index(np.array([*levels, None], dtype=object)[:-1])
    found = known.get_indexer(texts.to_numpy(dtype=object))
    return np.where(texts.isna().to_numpy(), np.nan, np.where(found < 0, OTHER, found))


def levels_of(checked: pd.DataFrame, schema: Schema) -> Levels:
    """Every level of each category in a checked frame, sorted."""
    return {name: tuple(sorted(checked[name].dropna().unique())) for name in schema.categories}


@dataclass(frozen=True)
class Checked:
    """What ``check`` gives, and what it says: of the table as a whole, and of rows, ascending, counted from 0."""

    frame: pd.DataFrame
    problems: list[str]
    faults: Faults


def look(frame: pd.DataFrame, schema: Schema, *, labelled: bool, others: bool = True) -> Checked:
    """``check`` for who reads a file in parts; what is ignored, and keys, of labelled rows only with ``others``."""
    frame = frame.reset_index(drop=True)
    if frame.columns.has_duplicates:
        names = [str(name) for name in frame.columns[frame.columns.duplicated()].unique()]
        raise refusals.wrong_table([refusals.repeated_columns(names)])
    if labelled and schema.roles.label is None:
        raise refusals.no_label(schema.name)
    problems = _name_problems(frame, schema, labelled=labelled)
    if not len(frame):
        problems.append(refusals.NO_ROWS)
    columns, faults = dict[str, object](), Faults()
    for name in schema.inputs:
        if name in frame:
            columns[name] = _input(frame[name], name, schema, faults)
        elif schema.columns[name].missing:
            kind = schema.columns[name].kind
            columns[name] = np.full(len(frame), None if kind == "category" else np.nan)
    label, own = schema.roles.label, schema.roles.id
    if labelled and label in frame:
        columns[str(label)] = _labels(frame[label], schema, faults)
    if own is not None and own in frame:
        columns[own] = _ids(frame[own], own, faults)
    if labelled and others:
        names = [name for name in schema.of_kind("key", "ignored") if name in frame]
        columns |= {name: kinds.texts(frame[name]) for name in names}
    if all(name in frame and _is_whole(values, frame[name]) for name, values in columns.items()):
        return Checked(frame[list(columns)], problems, faults)
    return Checked(pd.DataFrame(columns, index=frame.index), problems, faults)


def _is_whole(values: object, cells: pd.Series) -> bool:
    """Whether a column was taken as it is: where all were, copying them would cost as much as checking them."""
    return cells.dtype == np.float64 and isinstance(values, np.ndarray) and np.shares_memory(values, cells.to_numpy())


def _input(cells: pd.Series, name: str, schema: Schema, faults: Faults) -> kinds.Values:
    column = schema.columns[name]
    cells = _blanked(cells, schema.stands_for_missing(column.kind))
    converted = kinds.KINDS[column.kind](cells, column)
    if not converted.broken:
        return converted.values
    missing = cells.isna().to_numpy()
    if not column.missing:
        _note(faults, name, NOT_EMPTY, missing)
    for rule, broken in converted.broken.items():
        _note(faults, name, rule, broken & ~missing)
    return converted.values


def _blanked(cells: pd.Series, spellings: tuple[str, ...]) -> pd.Series:
    """What stands for a missing value, as one: the reader of a file has not always known; numbers by their value."""
    if types.is_datetime64_any_dtype(cells.dtype) or types.is_bool_dtype(cells.dtype):
        return cells
    if types.is_numeric_dtype(cells.dtype):
        numbers = _numbers(spellings)
        return cells.mask(cells.isin(numbers)) if numbers else cells
    return cells.mask(cells.isin(spellings))


@cache
def _numbers(spellings: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(pd.to_numeric(pd.Series(spellings, dtype=object), errors="coerce").dropna().tolist())


def _labels(cells: pd.Series, schema: Schema, faults: Faults) -> NDArray[np.int8]:
    name, fraud = str(schema.roles.label), schema.roles.fraud
    cells = _blanked(cells, schema.stands_for_missing("boolean"))
    missing = cells.isna().to_numpy()
    if fraud is None:
        values = kinds.truths(cells)
        _note(faults, name, LABEL_RULE, np.isnan(values) & ~missing)
    else:
        words = kinds.as_codes(cells).astype(str)
        values = np.isin(words, fraud).astype(np.float64)
        alike = np.isin(np.char.lower(np.char.strip(words)), [one.strip().lower() for one in fraud])
        _note(faults, name, f"written as the schema has it, {' or '.join(fraud)}", alike & (values == 0))
    _note(faults, name, NOT_EMPTY, missing)
    return np.where(np.isnan(values), 0, values).astype(np.int8)


def _ids(cells: pd.Series, name: str, faults: Faults) -> NDArray[Any]:
    values = kinds.as_codes(cells)
    if not types.is_float_dtype(cells.dtype) and cells.dtype != object and _all_match(values):
        return values
    pattern = re.compile(ID_PATTERN)
    _note(faults, name, NOT_EMPTY, cells.isna().to_numpy())
    wrong = [text is not None and not pattern.fullmatch(text) for text in values]
    broken = [isinstance(cell, float) and not (cell.is_integer() or cell != cell) for cell in cells]
    _note(faults, name, refusals.ID_RULE, np.array(wrong, dtype=bool) | np.array(broken, dtype=bool))
    return values


def _all_match(texts: NDArray[Any]) -> bool:
    """Whether all are ids; looked at together, which is quicker."""
    found = pyarrow.array(texts, pyarrow.string())
    if found.null_count:
        return False
    return bool(pyarrow.compute.all(pyarrow.compute.match_substring_regex(found, ID_PATTERN)).as_py())


def _note(faults: Faults, name: str, rule: str, broken: kinds.Mask) -> None:
    if broken.any():
        faults[name, rule] = np.flatnonzero(broken).tolist()


def _name_problems(frame: pd.DataFrame, schema: Schema, *, labelled: bool) -> list[str]:
    needed = [name for name in schema.inputs if not schema.columns[name].missing]
    needed += [schema.roles.label] if labelled and schema.roles.label else []
    known = known_columns(schema)
    missing = [name for name in needed if name not in frame.columns]
    extra = [str(name) for name in frame.columns if name not in known]
    return refusals.wrong_columns(missing, extra, known, frame.attrs.get(parquet_file.LEVELS, ()))


def is_parquet(path: Path) -> bool:
    """By its name or by its content, whatever else its name says."""
    if path.name.lower().endswith(PARQUET_SUFFIXES):
        return True
    with path.open("rb") as file:
        first = file.read(4)
        file.seek(-min(4, file.seek(0, 2)), 2)
        return first == file.read() == b"PAR1"
