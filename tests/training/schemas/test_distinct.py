"""Different values in constant memory: exact while there are few, a sample with exact counts beyond."""

import numpy as np
import pandas as pd

from training.schemas.distinct import CAP, Distinct


def fed(values, chunk):
    """As a column of chunks: half of the rows are marked."""
    found = Distinct()
    for start in range(0, len(values), chunk):
        codes, different = pd.factorize(pd.Series(values[start : start + chunk]))
        rows = np.bincount(codes).astype(float)
        found.add(pd.Index(different), rows, rows / 2)
    return found


def test_few_values_are_counted_exactly():
    """Over chunks, with what is marked."""
    found = fed(["a", "b", "a", "c", "a", "b"] * 100, 7)
    assert (found.is_exact, found.count, found.is_unique) == (True, 3, False)
    assert found.most_frequent(2) == [("a", 300), ("b", 200)]
    assert found.marked.sum() == 300


def test_many_values_are_estimated_from_a_sample():
    """Within 3 %; the counts of those kept are exact, and no more are kept than CAP."""
    values = np.repeat(np.arange(300_000), 2)
    found = fed(values, 50_000)
    assert not found.is_exact
    assert len(found.values) <= CAP
    assert abs(found.count / 300_000 - 1) < 0.03
    assert set(found.rows) == {2.0}


def test_uniqueness_is_seen_in_a_sample():
    """A repeated value among many is one of few that are kept, unless all repeat: so it is asked of each kept one."""
    assert fed(np.arange(200_000), 30_000).is_unique
    assert not fed(np.append(np.arange(200_000), np.arange(100_000)), 30_000).is_unique


def test_the_sample_does_not_depend_on_the_order():
    """The same values are kept whichever came first."""
    values = np.arange(150_000)
    forth, back = fed(values, 40_000), fed(values[::-1], 17_000)
    assert set(forth.values) == set(back.values)
