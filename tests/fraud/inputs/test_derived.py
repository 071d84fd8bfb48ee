"""Features made of a time: their values on known days, and that a time is found for each value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.inputs.derived import BY_NAME, SECONDS_PER_DAY
from tests.fraud.inputs.test_times import utc


def make(name, clock):
    return float(BY_NAME[name].make(np.array([float(clock)]))[0])


@pytest.mark.parametrize(
    ("text", "hour", "weekday"),
    [
        ("1970-01-01T00:00:00", 0, 3),
        ("1970-01-04T23:59:59", 86_399 / 3600, 6),
        ("1970-01-05T00:00:00", 0, 0),
        ("1969-12-31T12:00:00", 12, 2),
        ("2018-07-25T06:30:00", 6.5, 2),
        ("2024-02-29T18:00:00", 18, 3),
    ],
)
def test_known_days(text, hour, weekday):
    """Monday is 0; hours keep their fraction and start again each day, before 1970 too."""
    assert (make("hour", utc(text)), make("weekday", utc(text))) == (hour, weekday)


@given(st.floats(0, 24, exclude_max=True, width=32))
def test_a_time_is_found_for_each_hour(hour):
    """The features are float32: each of them is met."""
    assert np.float32(make("hour", BY_NAME["hour"].inverse(hour))) == np.float32(hour)


@pytest.mark.parametrize("weekday", range(7))
def test_a_time_is_found_for_each_weekday(weekday):
    """Within the first week."""
    clock = BY_NAME["weekday"].inverse(weekday)
    assert 0 <= clock < 7 * SECONDS_PER_DAY
    assert make("weekday", clock) == weekday


@given(st.floats(-1e11, 1e11))
def test_features_stay_in_their_range(clock):
    """Whatever the time."""
    assert 0 <= make("hour", clock) <= 24
    assert make("weekday", clock) in range(7)
