"""The decimal mark of a CSV file, point or comma: held against every number, never taken for one of thousands."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.compute
from pandas.api import types

from fraud.tables import refusals
from fraud.tables.found import Found, Reading

_OTHER = {".": ",", ",": "."}
_NUMBERS = {mark: re.compile(rf"\s*[+-]?\d*{re.escape(mark)}\d+(?:[eE][+-]?\d+)?\s*") for mark in _OTHER}
_DOUBTFUL = re.compile(r"\s*[+-]?[1-9]\d{0,2}[.,]\d{3}\s*")
"""What could be a number with a mark of thousands as well."""
_GROUPED = re.compile(
    r"\s*[+-]?\d{1,3}(?:(?:,\d{3})+\.\d+|(?:\.\d{3})+,\d+|,\d{3}(?:,\d{3})+|\.\d{3}(?:\.\d{3})+)(?:[eE][+-]?\d+)?\s*"
)
"""What can be nothing else."""
_ROWS_OF_TEXT = 1_000


def find(path: Path, records: Iterator[list[str]], found: Found, shape: Reading) -> str | None:
    """The mark of the first number that has one, and not perhaps one of thousands; None when no number has a mark.

    ``records`` are the header and the rows. Raises DataError when every mark may be one of thousands. Where all columns
    are text the first rows alone are looked at, and nothing is refused.
    """
    as_text = shape.text is None
    names = list(next(records, []))
    doubtful: tuple[str, str, int] | None = None
    certain: str | None = None
    for row, record in enumerate(islice(records, _ROWS_OF_TEXT) if as_text else records):
        for name, value in zip(names, record, strict=False):
            mark = None if not as_text and shape.is_text(name) else _mark(value)
            if mark and not _DOUBTFUL.fullmatch(value):
                return mark
            if mark == "." and found.separator == ",":
                certain = mark  # between commas a point is a decimal point
            elif mark:
                doubtful = doubtful or (name, value.strip(), row)
    if doubtful and not as_text:
        raise refusals.decimal_or_thousands(path, *doubtful)
    return None if doubtful else certain


def checked(path: Path, frame: pd.DataFrame, found: Found, shape: Reading, first_row: int = 0) -> pd.DataFrame:
    """``frame``, whose rows begin at ``first_row`` of the file; numbers that a word kept among text have points.

    Raises DataError when a number has another mark than the file's, or marks of thousands.
    """
    decimal = found.decimal or "."
    for name, kind in frame.dtypes.items():
        if shape.is_text(str(name)) or not (types.is_string_dtype(kind) or types.is_object_dtype(kind)):
            continue
        values = frame[name].astype("str")
        if not _has_marks(values):
            continue
        wrong = _matches(values, _NUMBERS[_OTHER[decimal]]) | _matches(values, _GROUPED)
        if wrong.any():
            row = int(wrong.argmax())
            raise refusals.two_decimals(path, str(name), str(values.iloc[row]).strip(), first_row + row, decimal)
        numbers = _matches(values, _NUMBERS[","])
        if numbers.any():
            frame = frame.assign(**{str(name): frame[name].where(~numbers, values.str.replace(",", "."))})
    return frame


def _has_marks(values: "pd.Series[str]") -> bool:
    """Whether any value has a point or a comma: most columns of words have none."""
    texts = pyarrow.array(values, pyarrow.string(), from_pandas=True)
    return bool(pyarrow.compute.any(pyarrow.compute.match_substring_regex(texts, "[.,]")).as_py())


def _matches(values: "pd.Series[str]", pattern: re.Pattern[str]) -> "pd.Series[bool]":
    return values.str.fullmatch(pattern.pattern, na=False).astype(bool)


def _mark(value: str) -> str | None:
    if "," not in value and "." not in value:
        return None
    return next((mark for mark, pattern in _NUMBERS.items() if pattern.fullmatch(value)), None)
