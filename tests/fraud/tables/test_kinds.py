"""What a cell of each kind may hold, and every way in which it is wrong."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from fraud.schema import Column
from fraud.tables.kinds import KINDS, LONGEST_TEXT, texts, time, written

TIME = Column(kind="time", zone="Europe/Berlin")
NUMBER = Column(kind="number", minimum=-5, maximum=10)
LEVELS = Column(kind="category", levels=("app", "web"))


def look(column, cells):
    """Values and, by rule, the rows that break it."""
    cells = cells if isinstance(cells, pd.Series) else pd.Series(cells, dtype=object)
    found = KINDS[column.kind](cells, column)
    return found.values, {
        rule: np.flatnonzero(broken).tolist() for rule, broken in found.broken.items() if broken.any()
    }


NA = np.nan


@pytest.mark.parametrize(
    ("column", "cells", "values"),
    [
        (NUMBER, [1, 2.5, np.float32(0.5), Decimal("1.25"), np.int8(-5), 10], [1, 2.5, 0.5, 1.25, -5, 10]),
        (NUMBER, pd.Series([1, 2], dtype="int8"), [1, 2]),
        (NUMBER, pd.Series([1, None], dtype="Int64"), [1, NA]),
        (NUMBER, [1.5, None], [1.5, NA]),
        (Column(kind="boolean"), [True, False, None], [1, 0, NA]),
        (Column(kind="boolean"), pd.Series([True, False]), [1, 0]),
        (Column(kind="boolean"), pd.Series([True, None], dtype="boolean"), [1, NA]),
        (Column(kind="boolean"), [0, 1, 1.0, "1", "0.0"], [0, 1, 1, 1, 0]),
        (Column(kind="boolean"), ["Yes", "no", " TRUE ", "f", "Y", "n"], [1, 0, 1, 0, 1, 0]),
        (TIME, pd.Series([0.0, 1.5e9]), [0, 1.5e9]),
        (TIME, [0, "1970-01-01T01:00:00", "1970-01-01T00:00:00Z"], [0, 0, 0]),
        (TIME, ["1970-01-01", None], [-3600, NA]),
        (TIME, pd.Series(pd.to_datetime(["1970-01-01T01:00:00", None])), [0, NA]),
        (Column(kind="time"), pd.Series(pd.to_datetime(["1970-01-01T01:00:00+01:00", None], utc=True)), [0, NA]),
        (Column(kind="time", format="%d/%m/%y", zone="UTC"), ["02/01/70"], [86_400]),
    ],
)
def test_what_passes(column, cells, values):
    """As float64; what is empty is NaN, and no rule is asked of it."""
    found, broken = look(column, cells)
    np.testing.assert_array_equal(found, np.array(values, dtype=np.float64))
    empty = [row for row, value in enumerate(values) if np.isnan(value)]
    assert found.dtype == np.float64
    assert all(rows == empty for rows in broken.values())


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["web", "Zürich", " a ", None], ["web", "Zürich", " a ", None]),
        ([7, np.int64(8), 9.0, 1.5, True, Decimal("2")], ["7", "8", "9", "1.5", "true", "2"]),
        (pd.Series([7, 8], dtype="int16"), ["7", "8"]),
        (pd.Series([7.0, np.nan]), ["7", None]),
        (pd.Series([True, False]), ["true", "false"]),
        (pd.Series(["a", "b", None], dtype="category"), ["a", "b", None]),
        (pd.Series(["a", None], dtype="string"), ["a", None]),
    ],
)
def test_texts_of_a_category(cells, values):
    """As they are written; a whole number as its digits, so that 7 and 7.0 are one level."""
    found, broken = look(Column(kind="category"), cells)
    assert found.tolist() == values
    assert broken == {}


@pytest.mark.parametrize(
    ("column", "cells", "broken"),
    [
        (NUMBER, [1, "x", 2], {"a number": [1]}),
        (NUMBER, [1, "2"], {"a number": [1]}),
        (NUMBER, ["1", "2x", "3"], {"a number": [1]}),
        (NUMBER, [1, True], {"a number": [1]}),
        (NUMBER, [1, datetime.date(2020, 1, 1)], {"a number": [1]}),
        (NUMBER, [[1.0], 1], {"a number": [0]}),
        (NUMBER, pd.Series([True, False]), {"a number": [0, 1]}),
        (NUMBER, pd.Series([1j, 2j]), {"a number": [0, 1]}),
        (NUMBER, pd.Series(pd.date_range("2020-01-01", periods=2)), {"a number": [0, 1]}),
        (NUMBER, pd.Series([-5.1, 10.1, 0]), {"from -5 to 10": [0, 1]}),
        (NUMBER, pd.Series([np.inf, -np.inf, 0]), {"finite": [0, 1]}),
        (Column(kind="number"), pd.Series([3.5e38, 0]), {"from -3.40282e+38 to 3.40282e+38": [0]}),
        (Column(kind="boolean"), [2, 0.5, "maybe", "", 1], {"true or false, yes or no, or 1 or 0": [0, 1, 2, 3]}),
        (Column(kind="boolean"), pd.Series([0.0, 2.0]), {"true or false, yes or no, or 1 or 0": [1]}),
        (LEVELS, ["app", "shop", "App"], {"one of app, web": [1, 2]}),
        (
            Column(kind="category"),
            ["x" * LONGEST_TEXT, "x" * (LONGEST_TEXT + 1)],
            {"text of at most 256 characters": [1]},
        ),
        (TIME, ["2018-01-01", "1.1.2018", "soon"], {"a time in ISO 8601, or in seconds since 1970": [1, 2]}),
        (TIME, [True, 0], {"a time in ISO 8601, or in seconds since 1970": [0]}),
        (
            Column(kind="time"),
            ["2018-01-01T00:00", "2018-01-01T00:00Z"],
            {
                "a time in ISO 8601, or in seconds since 1970 (with an offset from UTC, or the schema needs a zone)": [
                    0
                ],
            },
        ),
        (
            Column(kind="time", zone="UTC", format="%d/%m/%y"),
            ["31/12/69", "1969-12-31", 0],
            {"a time written %d/%m/%y": [1, 2]},
        ),
        (Column(kind="time", zone="UTC", minimum=0), ["1969-12-31"], {"from 0 to 2.53402e+11": [0]}),
        (
            Column(kind="time", minimum=0, maximum=10),
            pd.Series([-1.0, 11.0, np.inf]),
            {"from 0 to 10": [0, 1], "finite": [2]},
        ),
    ],
)
def test_what_does_not(column, cells, broken):
    """Each cell at fault breaks one rule, which is in words."""
    assert look(column, cells)[1] == broken


def test_a_text_column_is_numbers_when_all_of_it_came_as_text():
    """A CSV file with one typo comes so: the typo alone is at fault, and the others are numbers."""
    values, broken = look(NUMBER, ["1.5", "2x", None, "3"])
    np.testing.assert_array_equal(values, [1.5, NA, NA, 3])
    assert broken["a number"] == [1, 2]  # the empty one is for another rule


def test_the_given_cells_are_left_alone():
    """Columns belong to who gave them."""
    cells = pd.Series([7, "a", None, 1.0], dtype=object)
    before = cells.copy()
    texts(cells)
    for kind in KINDS:
        look(Column(kind=kind), cells)
    pd.testing.assert_series_equal(cells, before)


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows(kind):
    """An empty column has no values and breaks nothing."""
    values, broken = look(Column(kind=kind), [])
    assert (len(values), broken) == (0, {})


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_timestamp_is_the_same_number_as_its_text(unit):
    """To the microsecond, in every unit, and far away: else the same row is two."""
    texts = ["2024-03-01T10:20:30.123457", "1969-07-20T20:17:40.000001", "2024-01-01T00:00:00"]
    texts += [] if unit == "ns" else ["2500-01-01T00:00:00", "9999-12-31T00:00:00"]
    column = Column(kind="time", zone="Europe/Berlin")
    stamps = pd.Series(np.array(texts, dtype=f"datetime64[{unit}]"))
    as_text = pd.Series([str(one) for one in stamps.to_numpy()], dtype=object)
    assert KINDS["time"](stamps, column).values.tolist() == KINDS["time"](as_text, column).values.tolist()


def test_dates_of_parquet_are_days():
    """Objects of dates and of points in time, as Arrow's date32 gives them."""
    cells = pd.Series([datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 3), None], dtype=object)
    assert KINDS["time"](cells, Column(kind="time", zone="UTC")).values[:2].tolist() == [1704153600.0, 1704164400.0]


def test_a_date_without_hyphens_beside_others_is_a_date():
    """Not so many seconds since 1970."""
    cells = pd.Series(["2024-01-01", "20240102"], dtype=object)
    assert KINDS["time"](cells, Column(kind="time", zone="UTC")).values.tolist() == [1704067200.0, 1704153600.0]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["True", "FALSE", "true"], ["true", "false", "true"]),
        ([True, False], ["true", "false"]),
        (["5411.0", "5411", "05411", "1.10", "-7.00"], ["5411", "5411", "05411", "1.10", "-7"]),
        ([5411.0, 7.5], ["5411", "7.5"]),
        ([Decimal("5411.00")], ["5411"]),
        ([b"DE"], ["DE"]),
    ],
)
def test_a_code_is_one_text_in_every_format(cells, expected):
    """What pandas makes of whole numbers with gaps, and of truths, is no other level."""
    assert KINDS["category"](pd.Series(cells), Column(kind="category")).values.tolist() == expected


@pytest.mark.parametrize("step", [1e-6, 1e-3, 1.0])
def test_times_that_are_written_are_read_again(step):
    """To the microsecond, from the first year of the calendar to its last; none stays none."""
    column = Column(kind="time", zone="Europe/Berlin", missing=True)
    random = np.random.default_rng(1)
    near = np.round(random.uniform(0, 2e9, 2_000) / step) * step
    values = np.round(np.concatenate([near, [-62_135_000_000.0, 253_402_300_799.0, np.nan]]) * 1e6) / 1e6
    again = time(pd.Series(written(values, column)), column).values
    assert np.array_equal(again, values, equal_nan=True)
