"""What is wrong with a table, in words; the rules themselves are tested in ``test_table``."""

from pathlib import Path

import pytest

from fraud.tables import refusals


@pytest.mark.parametrize(
    ("rows", "count", "end"),
    [
        ([3], 1, "1 row is not (row 3)"),
        ([0, 2], 2, "2 rows are not (rows 0, 2)"),
        ([0, 1, 2, 3, 4, 5], 9, "9 rows are not (rows 0, 1, 2, 3, 4, ...)"),
    ],
)
def test_a_broken_rule_names_its_first_rows(rows, count, end):
    """Five at most, and how many there are."""
    assert refusals.broken_rule("V1", "finite", rows, count) == f"V1 must be finite: {end}"


def test_rows_are_said_to_be_counted_once():
    """Where rows are named, and only there; the file is named when it is given."""
    broken = refusals.broken_rule("V1", "finite", [0], 1)
    words = str(refusals.wrong_table([broken, broken], Path("a.csv")))
    assert words.startswith(f"a.csv: {broken}; {broken} [rows are counted from 0 ")
    assert words.count("counted") == 1
    assert str(refusals.wrong_table([refusals.NO_ROWS])) == "the table has no rows"


def test_many_problems_are_cut():
    """Five are said, the others counted."""
    assert str(refusals.wrong_table(list("abcdefg"))) == "a; b; c; d; e; and 2 more problems"


def test_an_unknown_column_that_is_nearly_known_gets_a_hint():
    """Case and spaces are what people get wrong."""
    words = refusals.unknown_columns([" amount", "x"], ["Amount"])
    assert words == "unknown columns: ' amount' (did you mean 'Amount'?), 'x'"
    assert refusals.unknown_columns(list("abcdefghijkl"), []).endswith("'j' and 2 more")
