"""Random forests and hostile rows in each engine; `python -m benchmarks.fuzz_forest` runs thousands of such cases."""

import itertools
from collections import Counter

import pytest

from benchmarks.fuzz_forest import case


@pytest.fixture(scope="module")
def counts():
    """What came of fifty cases."""
    return sum((case([20, number]) for number in range(50)), Counter())


def test_every_score_equals_scikit_learn(counts):
    """Not one of thousands of scores differs from scikit-learn's in any bit."""
    assert counts["scores that differ"] == 0
    assert counts["rows"] > 5_000


def test_both_engines_were_tried(counts):
    """Each has scored, where the machine has both, and single leaves were among the forests."""
    assert counts["scores by numpy"] >= 2 * counts["rows"]
    assert counts["forests of single leaves"]


def test_values_were_missing(counts):
    """In training and in serving, alone and together, and nodes parted what was missing from all else."""
    for training, serving in itertools.product((True, False), repeat=2):
        assert counts[f"forests, missing in training: {training}, in serving: {serving}"]
    assert counts["missing values"] > 1_000
    assert counts["nodes that part missing values from all others"]


def test_other_models_were_refused(counts):
    """Forests over other classes were tried, and none was taken."""
    assert counts["wrong models refused"]
    assert counts["wrong models taken"] == 0
