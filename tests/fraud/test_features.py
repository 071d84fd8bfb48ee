"""The one feature path gives a row the same features everywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.errors import SchemaError
from fraud.features import FeaturePath, transform
from fraud.inputs.encoding import Codes, Encoding
from fraud.inputs.levels import OTHER
from fraud.schema import Schema, parse
from fraud.tables import table
from tests.shop_schema import SCHEMA, generate
from tests.ulb import COLUMNS, FEATURES, bounds

TIME = COLUMNS.index("Time")
CODES = Codes(levels=("DE", "web"), codes=(0.25, 0.5), other=0.125, missing=0.75)


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


@pytest.fixture(scope="module")
def shop():
    """The path of a second schema, with what is learnt of two levels of each category."""
    return FeaturePath(SCHEMA, Encoding(columns=dict.fromkeys(SCHEMA.categories, CODES)))


def shop_row(**values):
    """A row of zeros, but for the time: Wednesday 2018-07-25, half past six in the evening in Berlin."""
    given = {"bought_at": 1_532_536_200.0} | values
    return np.array([[given.get(name, 0.0) for name in SCHEMA.inputs]])


def test_features_of_a_second_schema(shop):
    """Plain columns as they are, categories by their codes, and of the time its local hour and weekday."""
    row = shop_row(total=9.5, age=np.nan, country=0, channel=OTHER, returning=1)
    found = dict(zip(shop.names, shop.transform(row)[0].tolist(), strict=True))
    assert np.isnan(found.pop("age"))
    expected = {"total": 9.5, "country": 0.25, "channel": 0.125, "returning": 1, "hour": 18.5, "weekday": 2}
    assert found == expected


def test_a_missing_category_has_a_code(shop):
    """So only numbers and booleans that may be missing are NaN, and the path says which."""
    found = shop.transform(shop_row(country=np.nan, returning=np.nan))[0]
    assert found[shop.names.index("country")] == 0.75
    assert [shop.names[place] for place in shop.nullable] == ["age", "returning"]
    assert [shop.names[place] for place in np.flatnonzero(np.isnan(found))] == ["returning"]


def test_what_is_derived_of_a_time_that_may_be_missing_may_be_too():
    """It is NaN where there is no time."""
    text = 'name = "a"\n[columns.x]\nkind = "number"\n[columns.t]\nkind = "time"\nderive = ["hour"]\nmissing = true\n'
    path = FeaturePath(parse(text, "a.toml"))
    assert (path.names, path.nullable) == (("x", "t_hour"), (1,))
    assert np.isnan(path.transform(np.array([[1.0, np.nan]]))).tolist() == [[False, True]]


@given(st.permutations(list(SCHEMA.columns)))
def test_the_order_of_columns_changes_no_feature(order):
    """Wherever a column stands, its feature has its name and value."""
    columns = {name: SCHEMA.columns[name] for name in order if SCHEMA.columns[name].kind != "category"}
    path = FeaturePath(Schema(name="turned", roles=SCHEMA.roles, columns=columns))
    rows = np.array([[float(len(name)) for name in path.schema.inputs]])
    found = dict(zip(path.names, path.transform(rows)[0].tolist(), strict=True))
    assert found["total"] == 5
    assert found["age"] == 3
    assert found["returning"] == 9
    assert found["hour"] == np.float32(1 + 9 / 3600)  # nine seconds after one o'clock in Berlin


@pytest.mark.parametrize("columns", [{}, {"country": CODES}, {"country": CODES, "channel": CODES, "city": CODES}])
def test_an_encoding_of_other_categories_is_refused(columns):
    """It belongs to another model."""
    with pytest.raises(
        SchemaError, match=r"the encoding is of .*, the schema's categories are \['channel', 'country'\]"
    ):
        FeaturePath(SCHEMA, Encoding(columns=columns))


def test_a_row_of_the_shop_alone_is_as_in_a_batch(shop):
    """Features of a row do not depend on the rows beside it, with every kind in it."""
    checked = table.check(generate(300), SCHEMA, labelled=True)
    rows = table.rows(checked, SCHEMA, shop.encoding.levels)
    together = shop.transform(rows)
    assert all(shop.transform(rows[[number]]).tobytes() == together[number].tobytes() for number in range(300))


def test_codes_of_several_categories_are_looked_up_at_once():
    """By place: a level's own, that of all others, and that of a missing value; one that has no level has codes too."""
    columns = [f'[columns.{name}]\nkind = "category"\nmissing = true' for name in "abc"]
    own = parse("\n".join(['name = "codes"', *columns]), "codes")
    encoding = Encoding(
        columns={
            "a": Codes(levels=("AT", "DE"), codes=(0.25, 0.1), other=0.5, missing=0.75),
            "b": Codes(levels=(), codes=(), other=0.125, missing=0.375),
            "c": Codes(levels=("x",), codes=(0.625,), other=1.0, missing=0.0),
        }
    )
    rows = np.array([[0, OTHER, 0], [1, np.nan, OTHER], [OTHER, OTHER, np.nan], [np.nan, np.nan, 0]])
    found = FeaturePath(own, encoding).transform(rows)
    expected = [[0.25, 0.125, 0.625], [0.1, 0.375, 1.0], [0.5, 0.125, 0.0], [0.75, 0.375, 0.625]]
    assert found.tolist() == np.array(expected, dtype=np.float32).tolist()
