"""What a draft says of times with offsets, of dates as digits, and of times of day."""

import numpy as np
import pandas as pd
import pytest

from tests.training.schemas.conftest import ROWS, column, looks

TIMES = pd.date_range("2023-02-01 01:07:00", periods=ROWS, freq="9h")
ASKED = 'hours are those of "UTC"; set `zone` to have local ones, as "Europe/Berlin"'


@pytest.mark.parametrize("offset", ["+02:00", "-0500", "Z"])
def test_times_with_an_offset_are_asked_for_the_local_zone(infer, offset):
    """Hours and weekdays are those of UTC until it is set, and that is said."""
    read, made = infer(booked=TIMES.strftime("%Y-%m-%dT%H:%M:%S") + offset)
    assert column(read, "booked") == {"kind": "time", "derive": ("hour", "weekday"), "zone": "UTC"}
    assert looks(made, "booked") == [ASKED]
    assert f"# LOOK: {ASKED}" in made.text


def test_times_of_which_some_have_an_offset(infer):
    """Both are said: whose hours they are, and in which zone the others are taken."""
    texts = TIMES.strftime("%Y-%m-%dT%H:%M:%S")
    read, made = infer(booked=[text + "+02:00" * (row % 2) for row, text in enumerate(texts)])
    assert column(read, "booked") == {"kind": "time", "derive": ("hour", "weekday"), "zone": "UTC"}
    assert [said[:20] for said in looks(made, "booked")] == ["the times name no zo", "some times have a zo"]


@pytest.mark.parametrize(("zone", "drafted"), [("Europe/Berlin", "Europe/Berlin"), ("UTC", "UTC"), ("+02:00", "UTC")])
def test_the_zone_of_a_parquet_file_is_taken(infer, zone, drafted):
    """Where it has a name that a schema may have; otherwise hours are those of UTC."""
    read, made = infer(booked=pd.Series(TIMES).dt.tz_localize("UTC").dt.tz_convert(zone), suffix="parquet")
    assert column(read, "booked") == {"kind": "time", "derive": ("hour", "weekday"), "zone": drafted}
    assert looks(made, "booked") == ([] if drafted != "UTC" else [ASKED])


@pytest.mark.parametrize("form", ["%Y%m%d%H%M%S", "%Y%m%d%H%M"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("is_text", [True, False])
def test_dates_and_clock_as_digits(infer, form, suffix, is_text):
    """They are a format, and no seconds."""
    texts = pd.Series(TIMES.strftime(form))
    read, made = infer(Zeit=texts if is_text else texts.astype("int64"), suffix=suffix)
    assert column(read, "Zeit") == {"kind": "time", "derive": ("hour", "weekday"), "format": form, "zone": "UTC"}
    assert "2023-02-01 01:07:00 to " in made.text


def test_ids_that_begin_with_a_day_are_no_times(infer):
    """A date and a number of the day: by the name."""
    read, _ = infer(order_id=[f"{day:%Y%m%d}{row % 60:04d}" for row, day in enumerate(TIMES)])
    assert read.roles.time is None


def test_huge_rising_numbers_are_no_seconds(infer):
    """No start lies 600,000 years ago."""
    read, made = infer(pay_time=np.arange(ROWS) * 10**6 + 20_239_901_990_000)
    assert read.roles.time is None
    assert "seconds since a start" not in made.text


@pytest.mark.parametrize("form", ["%H:%M", "%H:%M:%S", "%I:%M %p"])
def test_times_of_day_are_joined_to_their_date(infer, form):
    """How, with the names of both."""
    read, made = infer(Datum=TIMES.strftime("%d.%m.%Y"), Uhrzeit=TIMES.strftime(form))
    assert (read.roles.time, read.columns["Uhrzeit"].kind) == ("Datum", "ignored")
    [said] = looks(made, "Uhrzeit")
    assert said.startswith("times of day, not used by themselves: join them to Datum in the file, as ")
    assert 'in pandas frame["Datum"].astype(str) + " " + frame["Uhrzeit"].astype(str)' in said


def test_times_of_day_without_a_date(infer):
    """There is nothing to join them to, and a number would do."""
    read, made = infer(Uhrzeit=[f"{row % 24:02d}:{row % 60:02d}" for row in range(ROWS)])
    assert read.columns["Uhrzeit"].kind == "ignored"
    assert looks(made, "Uhrzeit") == [
        "times of day, not used by themselves: join them to a column of dates in the file, "
        "or write the hour as a number"
    ]


def test_times_of_day_beside_a_whole_time(infer):
    """The time has its clock already."""
    read, made = infer(at=TIMES.strftime("%Y-%m-%d %H:%M"), opens=TIMES.strftime("%H:%M"))
    assert (read.roles.time, read.columns["opens"].kind) == ("at", "ignored")
    assert looks(made, "opens") == ["times of day, not used by themselves: at has a clock; write the hour as a number"]
