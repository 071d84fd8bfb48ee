"""Points of time: from what people write to seconds since 1970, UTC, and from these to local time. One way for all.

A time without a zone is taken in the zone of its column; an hour that the clock repeats counts as the first, one that
it leaves out as if the clock had not been changed yet. Zones are those of the package ``tzdata``, not of the machine,
so that a row has the same hour everywhere.
"""

import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache, lru_cache, partial
from importlib.resources import files
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

_QUARTER = 900
"""Seconds: offsets from UTC change at whole quarters of an hour."""

_EPOCH = datetime(1970, 1, 1)
CALENDAR = (-62_135_596_800.0, 253_402_300_799.0)
"""The first second of the year 1 and the last of 9999: what is written as a time of day lies between."""


@cache
def zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name such as ``Europe/Berlin``. Raises ValueError for another."""
    folder, _, key = f"tzdata.zoneinfo.{name.replace('/', '.')}".rpartition(".")
    try:
        if "." in name:
            raise ValueError(name)
        with (files(folder) / key).open("rb") as file:
            return ZoneInfo.from_file(file, key=name)
    except (ModuleNotFoundError, OSError, ValueError, TypeError):
        expected = "expected one such as Europe/Berlin, America/New_York or UTC"
        raise ValueError(f"zone {name!r} is not known; {expected}") from None


def check(zone: str | None, form: str | None) -> None:
    """Raise ValueError unless ``zone`` is known, and ``form`` one of strptime's that says a day of a year."""
    if zone is not None:
        zone_of(zone)
    if form is None:
        return
    moment = datetime(2001, 11, 22, 13, 14, 15, tzinfo=UTC)
    try:
        again = datetime.strptime(moment.strftime(form), form)
    except (ValueError, re.error):
        again = None
    if again is None or again.date() != moment.date() or "%Z" in form:
        raise ValueError(f"format {form!r} is none of a day and a time, such as %d.%m.%Y %H:%M; a zone is written %z")


def second(text: str, form: str | None, zone: str | None) -> float:
    """``seconds`` of one text, many times as fast."""
    found, naive = _seconds(text, form)
    if not naive:
        return found
    return math.nan if zone is None else found + _offset_of_clock(zone, math.floor(found / _QUARTER) * _QUARTER)


def seconds(texts: Iterable[str | None], form: str | None, zone: str | None) -> NDArray[np.float64]:
    """Seconds since 1970, UTC, of times in ISO 8601, or as strptime's ``form`` has them; NaN where one is none.

    A time without a zone is NaN where ``zone`` is None.
    """
    read = np.array([_seconds(text, form) for text in texts], dtype=np.float64).reshape(-1, 2)
    found, naive = read[:, 0], read[:, 1] == 1
    found[naive] = np.nan if zone is None else instants(found[naive], zone)
    return found


def _seconds(text: str | None, form: str | None) -> tuple[float, bool]:
    """Seconds since 1970, and whether they are those of a local clock."""
    try:
        moment = datetime.fromisoformat(text or "") if form is None else datetime.strptime(text or "", form)
    except ValueError:
        return np.nan, False
    if moment.tzinfo is None:
        return (moment - _EPOCH).total_seconds(), True
    return moment.timestamp(), False


def instants(clock: NDArray[np.float64], zone: str) -> NDArray[np.float64]:
    """Seconds since 1970, UTC, at which the clock of ``zone`` shows ``clock`` ``(n,)``, for the first time."""
    return _shifted(clock, partial(_offset_of_clock, zone))


def local(moments: NDArray[np.float64], zone: str | None) -> NDArray[np.float64]:
    """Seconds of the local clock at ``moments`` ``(n,)``, seconds since 1970, UTC; these themselves without a zone."""
    if zone is None:
        return moments
    return _shifted(moments, partial(_offset_at, zone))


def instant(clock: float, zone: str | None) -> float:
    """Seconds since 1970, UTC, at which the local clock shows ``clock``."""
    return clock if zone is None else float(instants(np.array([clock]), zone)[0])


def _shifted(numbers: NDArray[np.float64], offset: Callable[[float], float]) -> NDArray[np.float64]:
    """The numbers with ``offset`` of the quarter that each is in added."""
    if len(numbers) == 1:  # a call of its own: at a twentieth of the cost
        number = float(numbers[0])
        return np.array([number + offset(math.floor(number / _QUARTER) * _QUARTER)]) if np.isfinite(number) else numbers
    first = math.floor(numbers.min() / _QUARTER) * _QUARTER if len(numbers) and np.isfinite(numbers).all() else math.nan
    if numbers.max(initial=first) < first + _QUARTER:  # of one quarter, as what is scored as it happens
        return numbers + offset(first)
    known = np.isfinite(numbers)
    quarters, place = np.unique(np.floor(numbers[known] / _QUARTER), return_inverse=True)
    result = numbers.copy()
    result[known] += np.array([offset(quarter * _QUARTER) for quarter in quarters.tolist()])[place]
    return result


@lru_cache(maxsize=10_000)
def _offset_of_clock(zone: str, shown: float) -> float:
    """What is to be added to seconds that the clock of ``zone`` shows: the first of two times, where it shows both."""
    own = zone_of(zone)
    return -_or_none(lambda: datetime.fromtimestamp(shown, UTC).replace(tzinfo=own))


@lru_cache(maxsize=10_000)
def _offset_at(zone: str, moment: float) -> float:
    """What is to be added to seconds since 1970, UTC, for what the clock of ``zone`` shows then."""
    own = zone_of(zone)
    return _or_none(lambda: datetime.fromtimestamp(moment, own))


def _or_none(moment: Callable[[], datetime]) -> float:
    """Seconds from UTC to the clock of a moment's zone; none beyond the calendar."""
    try:
        found = moment().utcoffset()
    except (OverflowError, ValueError, OSError):
        return 0.0
    return 0.0 if found is None else found.total_seconds()
