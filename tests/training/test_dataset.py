"""Data sets of a second schema: what a table of one holds, which rows are the same, and how dates divide it."""

import numpy as np
import pandas as pd
import pytest

from fraud.argument_types import period
from fraud.errors import DataError
from fraud.schema import parse
from fraud.tables import table
from tests.shop_schema import SCHEMA, TEXT, generate
from training import split
from training.dataset import combine, row_hashes


def of(frame, schema=SCHEMA):
    return combine([table.check(frame, schema, labelled=True)], ["a"], schema, synthetic=False)


@pytest.fixture(scope="module")
def frame():
    return generate(1_000, seed=2)


@pytest.fixture(scope="module")
def dataset(frame):
    return of(frame)


def test_what_a_data_set_holds(dataset, frame):
    """Levels by their place, labels by the values that mean fraud, times and amounts by their roles."""
    assert dataset.size == 1_000
    assert dataset.labels.tolist() == frame["fraudulent"].eq("Y").astype(int).tolist()
    assert dataset.levels["channel"] == ("app", "shop", "web")
    known = np.array([*dataset.levels["country"], None], dtype=object)
    place = dataset.rows[:, SCHEMA.inputs.index("country")]
    assert known[np.nan_to_num(place, nan=-1).astype(int)].tolist() == frame["country"].tolist()
    assert dataset.amounts.tolist() == frame["total"].tolist()
    assert (np.diff(dataset.times) >= 0).all()


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_a_table_of_a_data_set_reads_as_the_same(dataset, tmp_path, name):
    """Rows, levels, labels and so the fingerprint."""
    path = tmp_path / name
    rows = dataset.frame(np.arange(dataset.size))
    rows.to_parquet(path) if name.endswith("parquet") else rows.to_csv(path, index=False)
    again = of(table.read_table(path, SCHEMA))
    np.testing.assert_array_equal(again.rows, dataset.rows)
    assert (again.levels, again.fingerprint) == (dataset.levels, dataset.fingerprint)


def test_hashes_do_not_depend_on_the_levels_of_a_data_set(dataset, frame):
    """A part that lacks some levels has other places; its rows are known again all the same."""
    part = of(frame[frame["country"].isin(["DE", "NA"])])
    assert part.levels != dataset.levels
    assert np.isin(row_hashes(part.content), row_hashes(dataset.content)).all()


def test_rows_of_one_id_are_one(frame):
    """The last given holds, in whichever file; rows without an id are compared by all that they hold."""
    later = frame[:10].assign(total=1.0)
    both = combine(
        [table.check(one, SCHEMA, labelled=True) for one in (frame, later)], ["a", "b"], SCHEMA, synthetic=False
    )
    assert (both.size, both.duplicates_dropped) == (1_000, 10)
    assert (both.amounts == 1.0).sum() >= 10
    bare = frame.drop(columns="order")
    twice = of(pd.concat([bare, bare[:10], later.drop(columns="order")]))
    assert (twice.size, twice.duplicates_dropped) == (1_010, 10)


def test_dates_divide(dataset):
    """Both days of a period belong to it, by the clock of the column's zone; what is in neither is left out."""
    parts = split.by_dates(dataset, period("2018-07-20..2018-07-29"), period("2018-08-01..2018-08-05"))
    days = pd.to_datetime(dataset.times, unit="s", utc=True).tz_convert("Europe/Berlin").strftime("%Y-%m-%d")
    assert (min(days[parts.train]), max(days[parts.train])) == ("2018-07-20", "2018-07-29")
    assert (min(days[parts.test]), max(days[parts.test])) == ("2018-08-01", "2018-08-05")
    assert len(parts.train) == ((days >= "2018-07-20") & (days <= "2018-07-29")).sum()
    with pytest.raises(DataError, match="the test period of the dates split would have 0 rows and no fraud"):
        split.by_dates(dataset, period("2018-07-20..2018-07-29"), period("2019-01-01..2019-01-05"))


def test_without_a_time_rows_are_held_out_at_random(frame):
    """And what needs a time says so."""
    text = TEXT.replace('time = "bought_at"\n', "")
    timeless = of(frame, parse(text, "shop.toml"))
    assert split.usual(timeless.schema) == "stratified"
    assert timeless.times is None
    split.split(timeless, "stratified")
    with pytest.raises(DataError, match="the schema shop names no time: use --split stratified"):
        split.split(timeless, "time")


def test_transactions_of_different_keys_are_two():
    """And those that what is ignored tells apart: only a row that is the same throughout is a duplicate."""
    frame = (
        generate(50)
        .drop(columns="order")
        .assign(bought_at="2018-07-20T10:00:00+00:00", total=5.0, age=30, country="DE", channel="web", returning="yes")
    )
    frame["fraudulent"] = ["Y", "N"] * 25
    frame["customer"] = [f"c{number}" for number in range(50)]
    checked = table.check(pd.concat([frame, frame.head(7)]), SCHEMA, labelled=True)
    dataset = combine([checked], ["shop"], SCHEMA, synthetic=True)
    assert (dataset.size, dataset.duplicates_dropped) == (50, 7)
    again = table.check(dataset.frame(np.arange(50)), SCHEMA, labelled=True)
    assert again["customer"].tolist() == frame["customer"].tolist()
