"""Points of time: summer time both ways, what is no time, and that clock and moment are inverse."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.inputs import times
from fraud.schema import Column
from fraud.tables import kinds

BERLIN = "Europe/Berlin"
ZONES = st.sampled_from(
    ["UTC", BERLIN, "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham"]
)
MOMENTS = st.integers(0, 4_102_444_800)  # 1970 to 2100


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def clock_at(moment, zone):
    """What the clock of a zone shows, as seconds, by the standard library alone."""
    shown = datetime.fromtimestamp(moment, times.zone_of(zone))
    return shown.replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2018-01-01T00:00:00", "2017-12-31T23:00:00"),
        ("2018-07-01", "2018-06-30T22:00:00"),
        ("2018-03-25T01:59:59", "2018-03-25T00:59:59"),
        ("2018-03-25T03:00:00", "2018-03-25T01:00:00"),
        ("2018-10-28T01:59:59", "2018-10-27T23:59:59"),
        ("2018-10-28T03:00:00", "2018-10-28T02:00:00"),
    ],
    ids=["winter", "summer", "before the gap", "after the gap", "before the repeated hour", "after it"],
)
def test_a_local_time_is_one_moment(text, moment):
    """Summer time begins and ends between the quarters of an hour."""
    assert times.seconds([text], None, BERLIN).tolist() == [utc(moment)]


def test_a_repeated_hour_counts_as_the_first():
    """02:30 on the day when clocks are set back is in summer time; with its offset the second can be said."""
    texts = ["2018-10-28T02:30:00", "2018-10-28T02:30:00+02:00", "2018-10-28T02:30:00+01:00"]
    first, summer, winter = times.seconds(texts, None, BERLIN)
    assert first == summer == utc("2018-10-28T00:30:00")
    assert winter == utc("2018-10-28T01:30:00")
    assert times.local(np.array([summer, winter]), BERLIN).tolist() == [utc("2018-10-28T02:30:00")] * 2


def test_an_hour_that_is_left_out_counts_as_before_the_change():
    """02:30 on the day when clocks are set forward is half past one UTC: the clock then shows 03:30."""
    (moment,) = times.seconds(["2018-03-25T02:30:00"], None, BERLIN)
    assert moment == utc("2018-03-25T01:30:00")
    assert times.local(np.array([moment]), BERLIN).tolist() == [utc("2018-03-25T03:30:00")]


@given(st.lists(MOMENTS, min_size=1, max_size=20), ZONES)
def test_the_clock_is_that_of_the_zone(moments, zone):
    """As Python's own conversion has it, moment by moment."""
    expected = [clock_at(moment, zone) for moment in moments]
    assert times.local(np.array(moments, dtype=np.float64), zone).tolist() == expected


@given(MOMENTS, ZONES)
def test_moment_and_clock_are_inverse(moment, zone):
    """A clock's time gives its moment back; of two moments with one clock time, the first."""
    clock = times.local(np.array([float(moment)]), zone)
    again = times.instants(clock, zone)
    assert times.local(again, zone).tolist() == clock.tolist()
    assert again[0] == moment or (again[0] < moment and moment - again[0] <= 3_600)
    assert times.instant(float(clock[0]), zone) == again[0]


@given(st.lists(st.one_of(MOMENTS, st.just(None)), min_size=1, max_size=10), ZONES)
def test_text_timestamps_and_seconds_are_the_same(moments, zone):
    """A column of ISO 8601 text, of Parquet timestamps with a zone or without one, and of seconds."""
    column = Column(kind="time", zone=zone, missing=True)
    first = [
        None if m is None else float(times.instants(times.local(np.array([float(m)]), zone), zone)[0]) for m in moments
    ]
    shown = [None if m is None else datetime.fromtimestamp(clock_at(m, zone), UTC).replace(tzinfo=None) for m in first]
    stamps = pd.Series(pd.to_datetime(shown))
    forms = {
        "seconds": pd.Series(first, dtype=np.float64),
        "text": pd.Series([None if one is None else one.isoformat() for one in shown], dtype=object),
        "naive": stamps,
        "aware": pd.Series(pd.to_datetime(first, unit="s", utc=True)),
        "elsewhere": pd.Series(pd.to_datetime(first, unit="s", utc=True)).dt.tz_convert("Asia/Tokyo"),
        "milliseconds": stamps.astype("datetime64[ms]"),
    }
    expected = np.array(first, dtype=np.float64)
    for form, cells in forms.items():
        assert np.array_equal(kinds.time(cells, column).values, expected, equal_nan=True), form


def test_another_form_is_read():
    """As strptime has it; with an offset in it the zone is not asked."""
    texts = ["07/25/2018 13:05", "25/07/2018 13:05", None, ""]
    found = times.seconds(texts, "%m/%d/%Y %H:%M", BERLIN)
    assert found[0] == utc("2018-07-25T11:05:00")
    assert np.isnan(found[1:]).all()
    assert times.seconds(["25.7.2018 +0000"], "%d.%m.%Y %z", BERLIN).tolist() == [utc("2018-07-25")]


@pytest.mark.parametrize("text", ["yesterday", "2018-13-01", "2018-02-30", "25:00", "", None, "1532000000 s"])
def test_what_is_no_time_is_nan(text):
    """Never a guess."""
    assert np.isnan(times.seconds([text, "2018-01-01T00:00Z"], None, BERLIN)).tolist() == [True, False]


def test_a_time_without_a_zone_is_none():
    """It would be another moment on another machine; one with an offset is read."""
    found = times.seconds(["2018-07-01T12:00:00", "2018-07-01T12:00:00Z"], None, None)
    assert np.isnan(found[0])
    assert found[1] == utc("2018-07-01T12:00:00")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Berlin",
        "Europe",
        "Europe/Bonn",
        "Europe/Berlin/Mitte",
        "..",
        "../../etc/localtime",
        "/etc/localtime",
        "__init__.py",
        "zone1970.tab",
        "leapseconds",
        "Europe.Berlin.x",
        "a b",
        "\x00",
    ],
)
def test_an_unknown_zone_is_named(name):
    """With one that would do; nothing outside of the package is opened."""
    with pytest.raises(ValueError, match=r"^zone .* is not known; expected one such as Europe/Berlin"):
        times.zone_of(name)


def test_zones_do_not_depend_on_the_machine(monkeypatch):
    """They come from the pinned package, whatever folder of zones the machine has."""
    monkeypatch.setenv("PYTHONTZPATH", "/nowhere")
    times.zone_of.cache_clear()
    assert times.zone_of("America/New_York").key == "America/New_York"


def test_beyond_the_calendar_the_clock_is_utc():
    """Where Python has no date, nothing fails."""
    far = np.array([1e15, -1e15, np.nan])
    np.testing.assert_array_equal(times.local(far, BERLIN), far)
    np.testing.assert_array_equal(times.instants(far, BERLIN), far)


def test_the_given_array_is_left_alone():
    """What is not known stays unknown, and the array is a new one."""
    moments = np.array([1.5e9, np.nan])
    assert np.isnan(times.local(moments, BERLIN)[1])
    assert moments[0] == 1.5e9
