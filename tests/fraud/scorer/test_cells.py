"""Which cells there are, which one a node looks at, and what stands in them where a value is missing."""

import re

import numpy as np
import pytest

from fraud.scorer import cells, order
from fraud.scorer.order import HIGHEST_CUT, LOWEST_CUT

NANS = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF], dtype=np.uint32).view(np.float32)
"""Positive, negative, signalling, with all bits set."""


def filled(rows, nullable):
    """The cells that the walk is given."""
    seen = []
    walk = cells.filled_before(lambda filled, scores: seen.append((filled, scores)), rows.shape[1], nullable)
    scores = np.empty(len(rows))
    walk(rows, scores)
    assert seen[0][1] is scores
    return seen[0][0]


def test_numbers_are_the_same_in_both_cells():
    """Each feature stands at its place, those that may be missing again behind all, bit for bit."""
    rows = np.array([[-0.0, 1e-45, 3], [1, -1e-45, 3.4e38]], dtype=np.float32)
    assert filled(rows, (1, 2)).tobytes() == rows[:, [0, 1, 2, 1, 2]].tobytes()


@pytest.mark.parametrize("nan", NANS, ids=lambda nan: hex(nan.view(np.uint32)))
def test_a_missing_value_is_beyond_every_threshold(nan):
    """Its key is above that of infinity at its own place, and below that of minus infinity in its second cell."""
    keys = order.keys(filled(np.array([[nan, 0, nan], [0, nan, 0]], dtype=np.float32), (0, 1, 2)))
    zero = order.keys(np.zeros(1, np.float32))[0]
    missing = np.array([[True, False, True], [False, True, False]])
    assert (keys[:, :3][missing] > HIGHEST_CUT).all()
    assert (keys[:, 3:][missing] < LOWEST_CUT).all()
    assert (keys[:, :3][~missing] == zero).all()
    assert (keys[:, 3:][~missing] == zero).all()


def test_nodes_choose_a_cell():
    """A node that sends NaN to the left looks at the second cell where there is one, else at the feature's own."""
    looked_at, goes_left = np.array([0, 1, 2, 0, 1, 2]), np.array([True, True, True, False, False, False])
    assert cells.chosen(looked_at, goes_left, 3, (0, 2)).tolist() == [3, 1, 4, 0, 1, 2]


def test_cells_show_features():
    """From a cell one comes back to its feature."""
    assert cells.features(3, (0, 2)).tolist() == [0, 1, 2, 0, 2]


@pytest.mark.parametrize(("n_features", "nullable"), [(1, ()), (1, (0,)), (256, ()), (128, tuple(range(128)))])
def test_sound_numbers_of_cells(n_features, nullable):
    """There may be up to 256 of them."""
    assert cells.problem(n_features, nullable) is None


@pytest.mark.parametrize(
    ("n_features", "nullable", "why"),
    [
        (257, (), "at most 256 features, got 257$"),
        (129, tuple(range(128)), "at most 256 features, got 129, 128 of which may be missing and count twice"),
        (3, (3,), "places within 3 features"),
        (3, (-1, 0), "places within 3 features"),
        (3, (1, 0), "ascending places"),
        (3, (1, 1), "ascending places"),
        (3, (1.0,), "ascending places"),
        (3, ("amount",), "ascending places"),
        (3, (True,), "ascending places"),
    ],
)
def test_unsound_numbers_of_cells(n_features, nullable, why):
    """Too many, or places of what may be missing that are none."""
    assert re.search(why, cells.problem(n_features, nullable) or "none")
