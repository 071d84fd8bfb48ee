"""Texts of categories as numbers: places in one list of levels, in another, and the same in all."""

import numpy as np
import pytest

from fraud.inputs.levels import OTHER, content, moved, places
from fraud.schema import default
from tests.shop_schema import SCHEMA

OWN = {"country": ("AT", "DE", "FR"), "channel": ("app", "web")}
OTHERS = {"country": ("DE", "NL"), "channel": ("app", "web")}


@pytest.fixture
def rows():
    """Four rows: levels AT, DE, one that is not known, and none."""
    made = np.arange(24, dtype=np.float64).reshape(4, 6)
    made[:, SCHEMA.inputs.index("country")] = [0, 1, OTHER, np.nan]
    made[:, SCHEMA.inputs.index("channel")] = [0, 1, 0, 1]
    return made


def column(rows, name):
    return rows[:, SCHEMA.inputs.index(name)]


def test_places():
    """Where a text stands, OTHER where it does not, NaN for none."""
    np.testing.assert_array_equal(places(["FR", "AT", "fr", None, ""], OWN["country"]), [2, 0, OTHER, np.nan, OTHER])


def test_rows_of_one_list_are_rows_of_another(rows):
    """By their text: what the other list lacks is OTHER there; the rows given stay as they were."""
    before = rows.tobytes()
    found = moved(rows, SCHEMA, OWN, OTHERS)
    np.testing.assert_array_equal(column(found, "country"), [OTHER, 0, OTHER, np.nan])
    np.testing.assert_array_equal(column(found, "channel"), column(rows, "channel"))
    np.testing.assert_array_equal(column(found, "total"), column(rows, "total"))
    assert rows.tobytes() == before


def test_nothing_is_copied_without_need(rows):
    """Where the lists are equal, or the schema has no category."""
    assert moved(rows, SCHEMA, OWN, dict(OWN)) is rows
    assert moved(rows, default(), {}, {}) is rows
    assert content(rows, default(), {}) is rows


def test_the_content_of_a_row_is_the_same_in_every_list(rows):
    """A text has one number, whatever stands beside it; texts have different ones, and none is NaN."""
    wider = {"country": ("AT", "BE", "DE", "FR"), "channel": ("app", "shop", "web")}
    first, second = content(rows, SCHEMA, OWN), content(moved(rows, SCHEMA, OWN, wider), SCHEMA, wider)
    np.testing.assert_array_equal(first, second)
    country = column(first, "country")
    assert len(set(country[:3])) == 3
    assert np.isnan(country[3])


def test_a_text_keeps_its_number():
    """Hashes of training rows are stored: the number never changes, and a float64 holds it."""
    rows = np.zeros((1, 6))
    found = content(rows, SCHEMA, {"country": ("DE",), "channel": ("web",)})
    assert column(found, "country").tolist() == [2431594770161550.0]
