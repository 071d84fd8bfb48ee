"""The one feature path gives a row the same features everywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.features import transform
from tests.ulb import COLUMNS, FEATURES, bounds

TIME = COLUMNS.index("Time")


def row(**values):
    return np.array([[values.get(column, 0.0) for column in COLUMNS]], dtype=np.float64)


def test_names_are_the_columns_without_the_clock_and_with_the_hour():
    """The absolute time is no input of the model; the hour is the last one."""
    expected = (*(column for column in COLUMNS if column != "Time"), "hour")
    assert expected == FEATURES


@pytest.mark.parametrize("column", [column for column in COLUMNS if column != "Time"])
def test_each_column_lands_under_its_name(column):
    """A value of a column is the feature of the same name, and no other one."""
    features = transform(row(**{column: 7.5}))
    assert dict(zip(FEATURES, features[0].tolist(), strict=True)) == {name: 7.5 * (name == column) for name in FEATURES}


@pytest.mark.parametrize(
    ("seconds", "hour"),
    [(0, 0), (1800, 0.5), (3600, 1), (86_399, 86_399 / 3600), (86_400, 0), (90_000, 1), (1e11, (1e11 % 86_400) / 3600)],
)
def test_the_hour_is_that_of_the_day(seconds, hour):
    """Hours start again each day, fractions are kept, and the clock itself is gone."""
    assert transform(row(Time=seconds))[0, -1] == np.float32(hour)


@given(st.floats(*bounds("Time")))
def test_the_hour_stays_within_a_day(seconds):
    """Whatever Time the schema allows, the hour lies from 0 to 24."""
    assert 0 <= transform(row(Time=seconds))[0, -1] <= 24


def test_a_row_alone_is_as_in_a_batch(rows):
    """Features of a row do not depend on the rows beside it."""
    together = transform(rows)
    assert all(transform(rows[[number]]).tobytes() == together[number].tobytes() for number in range(200))


@pytest.mark.parametrize(
    "view", [np.asfortranarray, lambda array: np.repeat(array, 2, axis=0)[::2]], ids=["F", "strided"]
)
def test_memory_layout_does_not_matter(rows, view):
    """Rows in another memory order give the same features, laid out row by row."""
    features = transform(view(rows))
    assert features.tobytes() == transform(rows).tobytes()
    assert features.flags.c_contiguous


def test_the_result_is_float32(rows):
    """Features are rounded to the nearest float32, as scikit-learn itself would do."""
    features = transform(rows)
    assert features.dtype == np.float32
    assert np.array_equal(features[:, 0], rows[:, COLUMNS.index("V1")].astype(np.float32))


@pytest.mark.parametrize("side", [0, 1], ids=["lowest", "highest"])
def test_values_at_the_bounds_stay_finite(side):
    """What the schema lets in does not overflow float32."""
    assert np.isfinite(transform(row(**{column: bounds(column)[side] for column in COLUMNS}))).all()


def test_rows_are_left_alone(rows):
    """The given array is not changed."""
    before = rows.tobytes()
    transform(rows)
    assert rows.tobytes() == before


def test_no_rows_give_no_features():
    """An empty table is transformed too."""
    assert transform(np.empty((0, len(COLUMNS)))).shape == (0, len(FEATURES))


@pytest.mark.parametrize("shape", [(30,), (2, 29), (2, 31), (1, 2, 30), (0, 0)], ids=str)
def test_another_shape_is_refused(shape):
    """Rows that are not n by 30 are a ValueError that names both shapes."""
    with pytest.raises(ValueError, match=r"expected rows of shape \(n, 30\), got"):
        transform(np.zeros(shape))
