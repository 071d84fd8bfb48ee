"""How features are cut into bins, what the bins are called, and how places of levels are looked up."""

import numpy as np
import pytest

from fraud.inputs import cuts
from fraud.inputs.cuts import LONGEST, MISSING, MOST_LEVELS, PLAIN, REST, TRUTHS, UNSEEN, Cut, LevelBins
from tests.shop_schema import SCHEMA

LEVELS = {"country": tuple("ABCDEFGHIJ"), "channel": ("app", "shop")}


def rows_of(country):
    """Rows of the shop that differ in this alone."""
    rows = np.zeros((len(country), len(SCHEMA.inputs)))
    rows[:, SCHEMA.inputs.index("country")] = country
    return rows


def of(country):
    """The cut of each feature of the shop, by name."""
    return dict(zip(SCHEMA.features, cuts.of_rows(SCHEMA, LEVELS, rows_of(country)), strict=True))


def labels(*levels):
    return Cut(levels, tuple(range(len(levels)))).labels[: len(levels)]


def test_a_number_that_is_always_there_is_cut_as_ever():
    """Ten bins, called by their numbers, and none besides."""
    assert of([0])["total"] == PLAIN
    assert PLAIN.labels == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")


@pytest.mark.parametrize("name", ["hour", "weekday"])
def test_what_is_derived_of_a_time_is_a_number(name):
    """The shop's time is always there."""
    assert of([0])[name] == PLAIN


def test_a_number_that_may_be_missing_has_a_bin_for_it():
    """Behind the ten."""
    assert of([0])["age"].labels == (*PLAIN.labels, MISSING)


def test_a_boolean_has_its_two_levels():
    """And a bin for a missing value where there may be one."""
    assert of([0])["returning"].labels == (*TRUTHS, MISSING)


def test_a_category_has_its_most_frequent_levels_first():
    """Of levels with as many rows the one that stands first; a level without rows is one of the rest."""
    found = of([9] * 5 + [3] * 2 + [4] * 2 + [0, np.nan, -1, -1, -1, -1, -1, -1])["country"]
    assert found.levels == ("J", "D", "E", "A", "B", "C", "F")
    assert found.places == (9, 3, 4, 0, 1, 2, 5)
    assert found.labels[MOST_LEVELS:] == (REST, MISSING, UNSEEN)


def test_a_category_of_few_levels_has_no_rest():
    """Nor a bin for a missing value where there may be none; texts that are new have one always."""
    assert of([0])["channel"].labels == ("app", "shop", UNSEEN)


def test_no_feature_has_more_than_eleven_bins():
    """The minimum of rows rests on it (docs/drift.md)."""
    assert max(len(cut.labels) for cut in of([0]).values()) == 11


@pytest.mark.parametrize("word", [MISSING, REST, UNSEEN])
def test_a_level_that_reads_like_a_word_of_ours_is_told_apart(word):
    """It gets a tilde."""
    assert labels(word) == (f"{word}~",)


def test_long_levels_that_begin_alike_are_told_apart():
    """Names are short, and no two bins have the same."""
    same = "x" * LONGEST
    assert labels(same + "a", same + "b", same + "~") == (same, same + "~", same + "~~")


@pytest.mark.parametrize(
    ("level", "name"), [("", "(empty)"), ("5411", "5411"), ("\ud800", "?"), ("Zürich\n", "Zürich\n")]
)
def test_a_level_can_be_written_to_a_page(level, name):
    """An empty label would be none for Prometheus, and half a character cannot be encoded."""
    assert labels(level) == (name,)


# --- looking places up


def test_each_place_has_its_bin():
    """A level of its own, one of the rest, no value, and an unseen text; of two categories at once."""
    first = Cut(("C", "A"), (2, 0), column=1, rest=True, missing=True)
    second = Cut(("x",), (0,), column=0)
    found = LevelBins.of([PLAIN, first, second])
    assert (found.at, found.columns) == ([1, 2], [1, 0])
    places = np.array([[0, 0], [1, 0], [2, 0], [3, 0], [900, 0], [np.nan, 0], [-1, -1]], dtype=np.float64)
    assert [first.labels[one] for one in found.bins(places)[:, 0]] == ["A", REST, "C", REST, REST, MISSING, UNSEEN]
    assert [second.labels[one] for one in found.bins(places)[:, 1]] == ["x"] * 6 + [UNSEEN]


def test_a_category_that_has_learnt_nothing_has_unseen_texts_alone():
    """All of its levels were rare, say."""
    found = LevelBins.of([Cut((), (), column=0)])
    assert found.bins(np.array([[-1.0], [np.nan]])).tolist() == [[0], [0]]


def test_without_categories_there_is_nothing_to_look_up():
    """Numbers and booleans are cut at edges."""
    assert LevelBins.of([PLAIN, Cut(TRUTHS)]) is None
