"""Folds hold each row once, or are later than what scores them."""

import numpy as np
import pytest

from fraud.schema import default
from training.data import load
from training.train import DEFAULTS
from training.tuning.folds import FIRST, Folding, folds


@pytest.fixture(scope="module")
def dataset(source):
    return load([str(source)], default())


def rows_of(fold):
    """Something of each row to know it by: the amount and a component."""
    return {tuple(row) for row in fold.held}, {tuple(row) for row in fold.features}


@pytest.mark.parametrize("fresh", [False, True])
def test_folds_at_random_hold_each_row_once(dataset, fresh):
    """And no row is fitted on where it is held."""
    made = folds(dataset, Folding(False, 3, 0, fresh), DEFAULTS)
    assert sum(len(fold.held) for fold in made) == dataset.size
    for fold in made:
        held, fitted = rows_of(fold)
        assert not held & fitted
        assert len(fold.held) + len(fold.features) == dataset.size


@pytest.mark.parametrize("fresh", [False, True])
def test_parts_in_order_are_scored_by_what_is_earlier_alone(dataset, fresh):
    """Each part follows the one before, and the first rows are held by none."""
    made = folds(dataset, Folding(True, 3, 0, fresh), DEFAULTS)
    sizes = [len(fold.features) for fold in made]
    assert sizes[0] / dataset.size == pytest.approx(0.5 if fresh else FIRST, abs=0.01)
    for fold, end in zip(made, [*sizes[1:], dataset.size], strict=True):
        start = len(fold.features)
        assert len(fold.held) == end - start
        assert np.array_equal(fold.held_labels, dataset.labels[start:end])
        assert dataset.times[:start].max() < dataset.times[start:end].min()


def test_fresh_folds_are_others(dataset):
    """In either way of dividing."""
    for in_order in (False, True):
        seen, fresh = (folds(dataset, Folding(in_order, 3, 0, one), DEFAULTS) for one in (False, True))
        assert not {frozenset(rows_of(fold)[0]) for fold in seen} & {frozenset(rows_of(fold)[0]) for fold in fresh}
