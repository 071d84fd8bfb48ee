"""Points of time: from what people write to seconds since 1970, UTC, and from these to local time. One way for all.

A time without a zone is taken in the zone of its column; an hour that the clock repeats counts as the first, one that
it leaves out as if the clock had not been changed yet. Zones are those of the package ``tzdata``, not of the machine,
so that a row has the same hour everywhere.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

_QUARTER = 900
"""Seconds: offsets from UTC change at whole quarters of an hour."""


@cache
def zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name such as ``Europe/Berlin``. Raises ValueError for another."""
    folder, _, key = f"tzdata.zoneinfo.{name.replace('/', '.')}".rpartition(".")
    try:
        with (files(folder) / key).open("rb") as file:
            return ZoneInfo.from_file(file, key=name)
    except (ModuleNotFoundError, OSError, ValueError, TypeError):
        raise ValueError(f"zone {name!r} is not known; expected one such as Europe/Berlin, America/New_York or UTC") from None


def seconds(texts: Iterable[str], form: str | None, zone: str | None) -> NDArray[np.float64]:
    """Seconds since 1970, UTC, of times in ISO 8601, or as strptime's ``form`` has them; NaN where one is none.

    A time without a zone is NaN where ``zone`` is None.
    """
    own = None if zone is None else zone_of(zone)
    return np.array([_seconds(text, form, own) for text in texts], dtype=np.float64)


def _seconds(text: str, form: str | None, zone: tzinfo | None) -> float:
    try:
        moment = datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)  # noqa: DTZ007
    except ValueError:
        return np.nan
    if moment.tzinfo is None:
        if zone is None:
            return np.nan
        moment = moment.replace(tzinfo=zone)
    return (moment - _EPOCH).total_seconds()


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def local(instants: NDArray[np.float64], zone: str | None) -> NDArray[np.float64]:
    """Seconds of the local clock: ``instants`` ``(n,)``, in seconds since 1970, UTC, with the zone's offset added."""
    if zone is None:
        return instants
    own = zone_of(zone)
    known = np.isfinite(instants)
    quarters, place = np.unique(np.floor(instants[known] / _QUARTER), return_inverse=True)
    offsets = np.array([_offset(quarter * _QUARTER, own) for quarter in quarters.tolist()], dtype=np.float64)
    result = instants.copy()
    result[known] += offsets[place]
    return result


def _offset(instant: float, zone: ZoneInfo) -> float:
    try:
        found = datetime.fromtimestamp(instant, zone).utcoffset()
    except (OverflowError, ValueError, OSError):  # beyond the calendar
        return 0.0
    return found.total_seconds() if found is not None else 0.0


def instant(clock: float, zone: str | None) -> float:
    """Seconds since 1970, UTC, at which the local clock shows ``clock``, in seconds as ``local`` gives them."""
    if zone is None:
        return clock
    return clock - _offset(clock, zone_of(zone))
