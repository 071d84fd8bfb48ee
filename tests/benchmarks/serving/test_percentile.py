"""benchmarks.serving.percentile: nearest rank."""

import math

import pytest

from benchmarks.serving.percentile import percentile


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (1, 1), (50, 50), (50.1, 51), (99, 99), (99.5, 100), (100, 100)]
)
def test_a_percentile_is_a_value_that_was_seen(percent, expected):
    """Of 1 to 100 in any order, the smallest that enough values do not exceed."""
    assert percentile([*range(51, 101), *range(1, 51)], percent) == expected


def test_of_nothing_there_is_none():
    """NaN, which the tables show as a dash."""
    assert math.isnan(percentile([], 50))
