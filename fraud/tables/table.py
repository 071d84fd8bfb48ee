"""A table of transactions on disk: read it, then check it against the schema. Scoring a file starts here,
and so do training and monitoring.

The serving process never imports this module: pandas and pandera are needed offline only, pandera by the rules one by
one: ``fraud.tables.chunks`` does without where nothing is wrong.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from fraud import schema
from fraud.errors import DataError
from fraud.tables import csv_file, parquet_file, refusals
from fraud.tables.found import Reading

if TYPE_CHECKING:
    import pandera.pandas as pa

PARQUET_SUFFIXES = (".parquet", ".pq")
CSV_SUFFIXES = (".csv", ".csv.gz")

Faults = dict[tuple[str, str], list[int]]
"""Rows at fault by column and rule."""

_NUMBER, _FINITE, _LABEL, _ID = "a number", "finite", "0 or 1", "an id"
_EXPECTED = {"not_nullable": "not empty", _ID: refusals.ID_RULE}
"""Rules that are worded otherwise than pandera names them."""

READING = Reading(text=frozenset({schema.ID_COLUMN}), missing=("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"))
"""What stays text in a CSV file, and what is written for missing."""

_NUMERIC = (str, int, float, Decimal, np.number)


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV (``.csv``, ``.csv.gz``) or Parquet (``.parquet``, ``.pq``) file, or another by its content.

    Nothing is checked yet, see ``check``. Raises DataError with one line when there is no readable table.
    """
    check_there(path)
    try:
        return parquet_file.read(path) if is_parquet(path) else csv_file.read_csv(path, READING)[0]
    except OSError as error:
        raise refusals.unreadable(path, error) from None


def read_as(path: Path) -> str:
    """What was found of a file's form, in words."""
    return "Parquet" if is_parquet(path) else csv_file.find(path, READING).words()


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


def check(frame: pd.DataFrame, *, labelled: bool) -> pd.DataFrame:
    """Validate ``frame`` against ``fraud.schema`` and return it in schema order, rows in their given order.

    The result has float64 input columns, then ``Class`` as int8 when ``labelled`` (dropped otherwise), then
    ``transaction_id`` as text when given. Raises DataError naming each column, its rule and the first rows at
    fault; rows are counted from 0 after the header.
    """
    frame = frame.reset_index(drop=True)
    names, faults = find_faults(frame, labelled=labelled)
    if names or faults:
        raise refusal(names, faults, {rule: len(rows) for rule, rows in faults.items()})
    return _converted(frame, _wanted(labelled))


def find_faults(frame: pd.DataFrame, *, labelled: bool) -> tuple[list[str], Faults]:
    """What ``check`` says of the table as a whole, and the rows that break a rule, ascending, counted from 0."""
    from pandera.errors import SchemaErrors

    frame = frame if labelled else frame.drop(columns=schema.LABEL, errors="ignore")
    if frame.columns.has_duplicates:
        names = [str(name) for name in frame.columns[frame.columns.duplicated()].unique()]
        raise refusals.wrong_table([refusals.repeated_columns(names)])
    problems = _name_problems(frame, _wanted(labelled))
    if not len(frame):
        problems.append(refusals.NO_ROWS)
    try:
        pandera_schema(labelled=labelled).validate(frame, lazy=True)
    except SchemaErrors as errors:
        return problems, _by_rule(errors.failure_cases)
    return problems, {}


def refusal(problems: list[str], faults: Faults, counts: Mapping[tuple[str, str], int]) -> DataError:
    """The error of ``check``. ``faults`` may leave out all but the first rows; ``counts`` says how many there are."""
    broken = [
        refusals.broken_rule(column, _EXPECTED.get(rule, rule), rows, counts[column, rule])
        for (column, rule), rows in faults.items()
    ]
    return refusals.wrong_table([*problems, *broken])


def _wanted(labelled: bool) -> list[str]:
    return [*schema.COLUMNS, *([schema.LABEL] if labelled else [])]


def pandera_schema(*, labelled: bool) -> "pa.DataFrameSchema":
    """The pandera schema that follows from ``fraud.schema``: a missing or an extra column fails too."""
    import pandera.pandas as pa

    columns = {name: pa.Column(checks=_input_checks(name)) for name in schema.COLUMNS}
    if labelled:
        columns[schema.LABEL] = pa.Column(checks=_rule(_LABEL, lambda values: np.isin(_floats(values), (0, 1))))
    columns[schema.ID_COLUMN] = pa.Column(checks=_rule(_ID, _are_ids), required=False)
    return pa.DataFrameSchema(columns, strict=True)


def is_parquet(path: Path) -> bool:
    """By its name or by its content, whatever else its name says."""
    if path.name.lower().endswith(PARQUET_SUFFIXES):
        return True
    with path.open("rb") as file:
        first = file.read(4)
        file.seek(-min(4, file.seek(0, 2)), 2)
        return first == file.read() == b"PAR1"


def _rule(expected: str, holds: Callable[[pd.Series], NDArray[np.bool_]]) -> "pa.Check":
    """A check row by row; pandera leaves empty cells out and reports them as nulls."""
    import pandera.pandas as pa

    return pa.Check(lambda values: pd.Series(holds(values), index=values.index), error=expected)


def _input_checks(column: str) -> "list[pa.Check]":
    low, high = schema.bounds(column)

    def is_inside(values: pd.Series) -> NDArray[np.bool_]:
        numbers = _floats(values)  # what is no number, or not finite, fails its own rule only
        return ~np.isfinite(numbers) | ((numbers >= low) & (numbers <= high))

    return [
        _rule(_NUMBER, _are_numbers),
        _rule(_FINITE, lambda values: ~np.isinf(_floats(values))),
        _rule(f"from {low:g} to {high:g}", is_inside),
    ]


def _are_numbers(values: pd.Series) -> NDArray[np.bool_]:
    """False for text. A column that is text throughout, as a CSV with one typo gives, fails at the typo."""
    numbers = ~np.isnan(_floats(values))
    if types.is_numeric_dtype(values.dtype):
        return numbers
    text = np.array([isinstance(value, str) for value in values], dtype=bool)
    return numbers if text.all() and not numbers.all() else numbers & ~text


def _are_ids(values: pd.Series) -> NDArray[np.bool_]:
    if types.is_integer_dtype(values.dtype):
        values = values.astype(str)
    pattern = re.compile(schema.ID_PATTERN)
    return np.array([isinstance(value, str) and bool(pattern.fullmatch(value)) for value in values], dtype=bool)


def _floats(values: pd.Series) -> NDArray[np.float64]:
    """The values as float64, NaN where there is no number. Booleans and dates are no numbers."""
    kind = values.dtype
    if types.is_complex_dtype(kind) or types.is_bool_dtype(kind):
        return np.full(len(values), np.nan)
    if types.is_numeric_dtype(kind):
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    cells = [value if isinstance(value, _NUMERIC) and not isinstance(value, bool) else None for value in values]
    return pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce").to_numpy(dtype=np.float64)


def _converted(frame: pd.DataFrame, wanted: list[str]) -> pd.DataFrame:
    columns: dict[str, object] = {name: _floats(frame[name]) for name in wanted}
    if schema.LABEL in columns:
        columns[schema.LABEL] = _floats(frame[schema.LABEL]).astype(np.int8)
    if schema.ID_COLUMN in frame.columns:
        columns[schema.ID_COLUMN] = frame[schema.ID_COLUMN].astype(str)
    return pd.DataFrame(columns)


def _name_problems(frame: pd.DataFrame, wanted: list[str]) -> list[str]:
    missing = [name for name in wanted if name not in frame.columns]
    extra = [str(name) for name in frame.columns if name not in [*wanted, schema.ID_COLUMN]]
    levels = frame.attrs.get(parquet_file.LEVELS, ())
    return refusals.wrong_columns(missing, extra, [*wanted, schema.ID_COLUMN], levels)


def _by_rule(cases: pd.DataFrame) -> Faults:
    """Rows for each column and rule that failed, out of pandera's table of failure cases."""
    cases = cases[cases["schema_context"] == "Column"]
    return {
        (str(column), str(rule)): sorted(int(row) for row in group["index"])
        for (column, rule), group in cases.groupby(["column", "check"], sort=False)
    }
