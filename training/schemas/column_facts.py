"""What is found of one column while its values pass by: a draft of a schema is decided on these facts alone."""

import re
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from fraud.schema import PARSED_KINDS
from training.schemas.distinct import Counts, Distinct
from training.schemas.time_formats import TimeFormats

MISSING_WORDS = frozenset(
    (
        *("?", "-", "--", ".", "*", "na", "n/a", "n.a.", "#n/a", "nan", "nat", "null", "(null)", "\\n"),
        *("none", "nil", "missing", "unknown", "undefined", "not available"),
    )
)
"""What people write where there is no value, in lower case."""
_MAX_WORDS = 50
_FIRST_MINUTE = 190_001_010_000
"""The year 1900 as twelve digits, down to the minute."""


class ColumnFacts:
    """Facts of one column; ``add`` takes chunks of it in the order of the file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.type = "text"
        """``text``, ``number``, ``boolean``, ``time``, or what else a Parquet file says."""
        self.rows = 0
        self.blank = 0
        self.marked_blank = 0
        """Blank rows that have the label met first."""
        self.distinct = Distinct()
        self.numbers = 0
        self.whole = 0
        self.leading_zeros = 0
        self.lowest = np.inf
        self.highest = -np.inf
        self.is_sorted = True
        self.counts_up = True
        """Whether each value is that of the row before and one more."""
        self.said_missing: Counter[str] = Counter()
        self.spaces: set[str] = set()
        """Blank values that are not empty: they have to be declared where they stand for a missing value."""
        self.words: Counter[str] = Counter()
        """What is neither a number nor stands for a missing value; the first fifty."""
        self.text_words = 0
        """Words of all texts together, as spaces part them."""
        self.times = TimeFormats()
        self.zone: str | None = None
        self.decimal: str | None = None
        """The decimal mark of the file, where numbers are text."""
        self._last: float | None = None

    @property
    def filled(self) -> int:
        """Rows with a value, whatever it is."""
        return self.rows - self.blank

    @property
    def missing(self) -> int:
        """Rows that are empty or say that there is no value."""
        return self.blank + sum(self.said_missing.values())

    @property
    def is_all_numbers(self) -> bool:
        """Whether every value is a number, but for what stands for a missing one."""
        return self.numbers > 0 and self.numbers + sum(self.said_missing.values()) == self.filled

    def missing_in(self, kind: str) -> int:
        """Rows without a value where the column is of ``kind``: a word of a text is a text."""
        return self.missing if kind in PARSED_KINDS else self.blank

    def texts_in_lower_case(self) -> set[str] | None:
        """The different values; None where they are many."""
        if len(self.distinct.values) > _MAX_WORDS:
            return None
        return {str(value).strip().lower() for value in self.distinct.values}

    def fits(self, pattern: str) -> bool:
        """Whether all values that are kept match."""
        return all(re.fullmatch(pattern, str(value)) for value in self.distinct.values)

    def texts_fit(self, pattern: str) -> bool:
        """Whether all texts that are kept match, but for what stands for a missing one; False where there is none."""
        texts = [text for value in self.distinct.values if (text := str(value).strip()).lower() not in MISSING_WORDS]
        return self.type == "text" and bool(texts) and all(re.fullmatch(pattern, text) for text in texts)

    def sorted_numbers(self) -> tuple[Counts, NDArray[np.int64]]:
        """The different values as numbers, NaN for what is none, and the places of the numbers, the lowest first."""
        texts = pd.Series(self.distinct.values.astype(str).to_numpy(), dtype="str")
        numbers = as_numbers(texts, self.decimal if self.type == "text" else None)
        return numbers, np.argsort(numbers, kind="stable")[: int(np.isfinite(numbers).sum())]

    def add(self, values: "pd.Series[Any]", marks: NDArray[np.bool_], decimal: str | None) -> None:
        """Take in a chunk; ``marks`` say which rows have the label met first, ``decimal`` is the file's mark."""
        self.type = _type(values) if self.type == "text" else self.type
        self.decimal = decimal
        blank = values.isna().to_numpy()
        if self.type == "text":
            values = values.astype("str")
            blank = blank | (values.str.strip() == "").to_numpy(dtype=bool, na_value=True)
            self.spaces |= {str(text) for text in values[blank].dropna().unique()[:_MAX_WORDS]} - {""}
        self.rows += len(values)
        self.blank += int(blank.sum())
        self.marked_blank += int((blank & marks).sum())
        codes, found = pd.factorize(_dense(values[~blank]))
        different = pd.Index(found)
        counts = _counted(codes, np.ones(len(codes)), len(different))
        self.distinct.add(different, counts, _counted(codes, marks[~blank], len(different)))
        numbers = self._look(different, counts)
        if self.counts_up or self.is_sorted:
            self._order(numbers[codes])

    def _look(self, different: pd.Index, counts: Counts) -> Counts:
        """The different values as numbers, NaN for what is none."""
        if self.type == "text":
            return self._texts(different, counts)
        numbers = np.full(len(different), np.nan)
        if self.type == "number":
            numbers = np.asarray(different, dtype=np.float64)
            self._numbers(numbers, counts)
            self._digits(different)
        elif self.type == "time":
            zone = different.dtype.tz if isinstance(different.dtype, pd.DatetimeTZDtype) else None
            self.zone = None if zone is None else str(zone)
            self.times.add_moments(pd.to_datetime(pd.Series(different), utc=True))
        return numbers

    def _texts(self, different: pd.Index, counts: Counts) -> Counts:
        texts = pd.Series(different, dtype="str").str.strip()
        no_value = texts.str.lower().isin(MISSING_WORDS).to_numpy(dtype=bool)
        for place in np.flatnonzero(no_value):
            self.said_missing[texts[place]] += int(counts[place])
        numbers = as_numbers(texts, self.decimal)
        zeros = texts.str.match(r"^0\d+$").to_numpy(dtype=bool)
        self.leading_zeros += int(counts[zeros].sum())
        self._numbers(numbers, counts)
        words = np.flatnonzero(~no_value & np.isnan(numbers))
        for place in words[:_MAX_WORDS]:
            if len(self.words) < _MAX_WORDS or texts[place] in self.words:
                self.words[texts[place]] += int(counts[place])
        self.text_words += int(((texts.str.count(r"\s+").to_numpy(np.float64) + 1) * counts)[words].sum())
        self.times.add(pd.Index(texts[~no_value]))
        return numbers

    def _numbers(self, numbers: Counts, counts: Counts) -> None:
        known = np.isfinite(numbers)
        if known.any():
            self.numbers += int(counts[known].sum())
            self.whole += int(counts[known & (numbers % 1 == 0)].sum())
            self.lowest = min(self.lowest, float(numbers[known].min()))
            self.highest = max(self.highest, float(numbers[known].max()))

    def _digits(self, different: pd.Index) -> None:
        """Whole numbers that may be a date and a clock, written together."""
        if types.is_integer_dtype(different.dtype) and self.lowest >= _FIRST_MINUTE:
            self.times.add(different.astype(str))
        else:
            self.times.formats = ()

    def _order(self, numbers: Counts) -> None:
        steps = np.diff(numbers if self._last is None else np.append(self._last, numbers))
        self.counts_up &= bool((steps == 1).all())
        self.is_sorted &= bool((steps >= 0).all())
        self._last = float(numbers[-1]) if len(numbers) else self._last


def as_numbers(texts: "pd.Series[str]", decimal: str | None) -> Counts:
    """Texts as finite numbers, NaN for what is none; ``decimal`` is the mark of the file."""
    if decimal == ",":
        texts = texts.mask(texts.str.contains(".", regex=False), "").str.replace(",", ".", regex=False)
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _counted(codes: NDArray[np.int64], weights: NDArray[Any], number: int) -> Counts:
    return np.bincount(codes, weights, minlength=number).astype(np.float64)


def _dense(values: "pd.Series[Any]") -> Any:  # noqa: ANN401 - an array of pandas or of NumPy
    """Values of which none is missing, without pandas' own form of numbers that may be."""
    kind = values.dtype
    is_masked = types.is_extension_array_dtype(kind) and (types.is_numeric_dtype(kind) or types.is_bool_dtype(kind))
    return values.to_numpy() if is_masked else values


def _type(values: "pd.Series[Any]") -> str:
    kind = values.dtype
    if types.is_bool_dtype(kind):
        return "boolean"
    if types.is_numeric_dtype(kind) and not types.is_complex_dtype(kind):
        return "number"
    if types.is_datetime64_any_dtype(kind):
        return "time"
    return "text"
