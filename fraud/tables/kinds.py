"""What a cell of each kind may hold, and as what: a column as it was read becomes numbers, or texts of a category.

A new kind is an entry of ``KINDS`` here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
from numpy.typing import NDArray
from pandas.api import types

from fraud.inputs import times
from fraud.inputs.levels import same
from fraud.schema import LONGEST_TEXT, Column, Kind

Mask = NDArray[np.bool_]
Values = NDArray[Any]
"""float64, NaN where there is no value; of a category objects, texts and None."""

_NUMERIC = (str, int, float, Decimal, np.number)
_MEANINGS = {"true": 1.0, "yes": 1.0, "y": 1.0, "t": 1.0, "1": 1.0, "1.0": 1.0}
_MEANINGS |= {"false": 0.0, "no": 0.0, "n": 0.0, "f": 0.0, "0": 0.0, "0.0": 0.0}


@dataclass(frozen=True)
class Converted:
    """A column's values, and for each rule in words the rows that break it; of a cell that is empty none is asked."""

    values: Values
    broken: Mapping[str, Mask]


def number(cells: pd.Series, column: Column) -> Converted:
    """Finite numbers within bounds. Text that reads as a number is one where the whole column came as text."""
    values = floats(cells)
    if _are_plain(cells) and len(values) and column.bounds[0] <= values.min() <= values.max() <= column.bounds[1]:
        return Converted(values, {})  # NaN is not between them
    return Converted(values, {"a number": ~_are_numbers(cells, values), **_out_of_bounds(values, column)})


def boolean(cells: pd.Series, _column: Column) -> Converted:
    """Booleans, 0 and 1, or their words."""
    values = truths(cells)
    return Converted(values, {"true or false, yes or no, or 1 or 0": np.isnan(values)})


def category(cells: pd.Series, column: Column) -> Converted:
    """Texts as they are written, but for what the same value is written as elsewhere (``as_codes``)."""
    place, different = distinct(cells)
    values = as_codes(different)
    too_long = np.array([text is not None and len(text) > LONGEST_TEXT for text in values], dtype=bool)
    broken = {f"text of at most {LONGEST_TEXT} characters": too_long[place]}
    if column.levels is not None:
        broken[f"one of {', '.join(column.levels)}"] = ~np.isin(values.astype(str), column.levels)[place]
    return Converted(values[place], broken)


def time(cells: pd.Series, column: Column) -> Converted:
    """Seconds since 1970, UTC: numbers of them, timestamps, or texts."""
    if column.format is None and _are_plain(cells):
        return number(cells, column)
    if types.is_datetime64_any_dtype(cells.dtype):
        values = _of_timestamps(cells, column)
    elif column.format is not None:
        values = times.seconds(texts(cells), column.format, column.zone)
    else:
        values = floats(cells)
        text = np.array([isinstance(cell, str | date) for cell in cells], dtype=bool)
        if np.isnan(values[text]).any():  # one date among them: a number beside it is a date without hyphens
            values[text] = times.seconds(cells[text].map(str), None, column.zone)
    form = "in ISO 8601, or in seconds since 1970" if column.format is None else f"written {column.format}"
    zone = "" if column.zone else " (with an offset from UTC, or the schema needs a zone)"
    return Converted(values, {f"a time {form}{zone}": np.isnan(values), **_out_of_bounds(values, column)})


KINDS: Mapping[Kind, Callable[[pd.Series, Column], Converted]] = {
    "number": number,
    "boolean": boolean,
    "category": category,
    "time": time,
}


def _of_timestamps(cells: pd.Series, column: Column) -> NDArray[np.float64]:
    """Naive ones are of the column's zone, and without one of none."""
    aware = getattr(cells.dtype, "tz", None) is not None
    naive = cells.dt.tz_convert("UTC").dt.tz_localize(None) if aware else cells
    clock = naive.to_numpy("datetime64[us]").astype("int64") / 1e6  # microseconds are exact in a float64, as in texts
    clock[cells.isna().to_numpy()] = np.nan
    if aware:
        return clock
    return np.full(len(cells), np.nan) if column.zone is None else times.instants(clock, column.zone)


def _out_of_bounds(values: NDArray[np.float64], column: Column) -> dict[str, Mask]:
    low, high = column.bounds
    finite = np.isfinite(values)  # what is no number, or not finite, breaks its own rule only
    return {"finite": np.isinf(values), f"from {low:g} to {high:g}": finite & ~((values >= low) & (values <= high))}


def _are_plain(cells: pd.Series) -> bool:
    return isinstance(cells.dtype, np.dtype) and cells.dtype.kind in "fiu"


def _are_numbers(cells: pd.Series, values: NDArray[np.float64]) -> Mask:
    """False for text. A column that is text throughout, as a CSV with one typo gives, fails at the typo."""
    are = ~np.isnan(values)
    if types.is_numeric_dtype(cells.dtype):
        return are
    text = np.array([isinstance(cell, str) for cell in cells], dtype=bool)
    all_text = (text | cells.isna().to_numpy()).all()
    return are if all_text and not are[text].all() else are & ~text


def floats(cells: pd.Series) -> NDArray[np.float64]:
    """The values as float64, NaN where there is no number. Booleans and dates are no numbers."""
    kind = cells.dtype
    if types.is_complex_dtype(kind) or types.is_bool_dtype(kind):
        return np.full(len(cells), np.nan)
    if types.is_numeric_dtype(kind):
        return cells.to_numpy(dtype=np.float64, na_value=np.nan)
    numbers = [cell if isinstance(cell, _NUMERIC) and not isinstance(cell, bool) else None for cell in cells]
    return pd.to_numeric(pd.Series(numbers, dtype=object), errors="coerce").to_numpy(dtype=np.float64, copy=True)


def truths(cells: pd.Series) -> NDArray[np.float64]:
    """1 for true, 0 for false, NaN for anything else."""
    if types.is_bool_dtype(cells.dtype) or types.is_numeric_dtype(cells.dtype):
        values = cells.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.where(np.isin(values, (0.0, 1.0)), values, np.float64(np.nan))
    place, different = distinct(cells)
    words = different.astype(object).map(lambda cell: None if cell is None else str(cell).strip().lower())
    return np.asarray(words.map(_MEANINGS), dtype=np.float64)[place]


def distinct(cells: pd.Series) -> tuple[NDArray[np.int64], pd.Series]:
    """Where each cell stands among those that differ, and these: there are few, and each is looked at once."""
    try:
        place, different = pd.factorize(cells, use_na_sentinel=False)
    except TypeError:  # of objects that cannot be compared, such as lists
        return np.arange(len(cells)), cells
    return place, pd.Series(different, dtype=cells.dtype)


def texts(cells: pd.Series) -> NDArray[Any]:
    """Texts, None where there is no value; a whole number has the digits that it has in a file of whole numbers."""
    if _are_whole(cells):
        return np.asarray(pyarrow.array(cells.to_numpy()).cast(pyarrow.string()).to_numpy(zero_copy_only=False))
    missing = cells.isna().to_numpy()
    found = cells.to_numpy(dtype=object, copy=True)
    for cell in {type(cell) for cell in found[~missing]} - {str}:
        own = np.array([type(one) is cell for one in found], dtype=bool) & ~missing
        found[own] = [_text(one) for one in found[own]]
    found[missing] = None
    return found


def as_codes(cells: pd.Series) -> NDArray[Any]:
    """``texts``, the same for whole numbers and truths in whichever format they stand (``levels.same``)."""
    found = texts(cells)
    return found if _are_whole(cells) else np.array([text and same(text) for text in found], dtype=object)


def _are_whole(cells: pd.Series) -> bool:
    """Whether they came as whole numbers of NumPy's, which are as they are everywhere: in a tenth of the time."""
    return isinstance(cells.dtype, np.dtype) and cells.dtype.kind in "iu"


def _text(cell: object) -> str:
    if isinstance(cell, bool | np.bool_):
        return str(bool(cell)).lower()
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)


def written(values: NDArray[np.float64], column: Column) -> Any:  # noqa: ANN401 - what pandas takes as a column
    """Numbers of a row array ``(n,)`` as cells that are read back equal: timestamps of times that have a zone or a
    form of text."""
    if column.kind != "time" or not (column.format or column.zone):
        return values
    clock = np.full(len(values), np.datetime64("NaT", "us"))
    known = np.isfinite(values)
    clock[known] = np.round(values[known] * 1e6).astype(np.int64).astype("datetime64[us]")
    return pd.DatetimeIndex(clock).tz_localize("UTC")


def written_labels(frauds: NDArray[Any], fraud: Sequence[str] | None) -> NDArray[Any]:
    """Of what is true, or 1, for fraud ``(n,)``: in the words of a schema's ``roles.fraud``, or 0 and 1."""
    meanings = np.array((0, 1), dtype=np.int8) if fraud is None else np.array((f"not {fraud[0]}", fraud[0]))
    return meanings[frauds.astype(np.int8)]
