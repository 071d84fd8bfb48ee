"""Rules that find times: written in a format, timestamps, and numbers of seconds."""

from dataclasses import replace
from typing import Any

from training.schemas import names
from training.schemas.column_facts import ColumnFacts
from training.schemas.decision import Decision
from training.schemas.time_formats import ISO, swapped

RELATIVE = "seconds since a start that is not told"
EPOCH = (631_152_000, 4_102_444_800)
"""Seconds since 1970 of the years 1990 and 2100."""


def moment(facts: ColumnFacts) -> Decision | None:
    if facts.type == "time":
        return _time(facts, None, is_zoned=facts.zone is not None)
    forms = facts.times.formats
    if facts.type != "text" or not forms:
        return None
    form = ISO if ISO in forms else forms[0]
    found = _time(facts, None if form == ISO else form, is_zoned=facts.times.zoned)
    if facts.times.zoned and facts.times.unzoned:
        found = replace(
            found, look=(*found.look, "some times have a zone and some have none: those are taken in `zone`")
        )
    if both := swapped(forms):
        ask = f"day or month first? No row tells: {' or '.join(both)}; ask who wrote the file, and set `format`"
        return replace(found, look=(ask, *found.look))
    return found


def _time(facts: ColumnFacts, form: str | None, *, is_zoned: bool) -> Decision:
    settings: dict[str, Any] = {} if form is None else {"format": form}
    look: tuple[str, ...] = ()
    if not is_zoned or facts.times.unzoned:
        settings["zone"] = "UTC"
        look = (
            'the times name no zone: "UTC" is assumed; set the one of the clock that wrote them, as "Europe/Berlin"',
        )
    why = "points of time" if facts.type == "time" else f"times, written as {form or 'ISO 8601'}"
    return Decision("time", why, settings, look)


def epoch(facts: ColumnFacts) -> Decision | None:
    could_be = facts.is_all_numbers and facts.is_sorted and not names.is_id(facts.name)
    if not could_be and not (facts.is_all_numbers and names.is_time(facts.name)):
        return None
    for unit, per_second in (("seconds", 1), ("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9)):
        if EPOCH[0] <= facts.lowest / per_second and facts.highest / per_second < EPOCH[1]:
            return _seconds_since_1970(facts) if unit == "seconds" else _other_unit(unit)
    if names.is_time(facts.name) and facts.is_sorted and facts.lowest >= 0 and facts.distinct.count > 24:
        said = (
            "rising numbers of this name are taken for seconds; hours of the day are right if it counts from a midnight"
        )
        return Decision("time", RELATIVE, {"minimum": 0}, (said,))
    return None


def _seconds_since_1970(facts: ColumnFacts) -> Decision:
    look = () if names.is_time(facts.name) else ("rising numbers that could be seconds since 1970 are taken for times",)
    zone = 'hours are those of "UTC"; set `zone` to have local ones'
    return Decision("time", "seconds since 1970", {"zone": "UTC"}, (*look, zone))


def _other_unit(unit: str) -> Decision:
    why = f"{unit} since 1970, and times are taken in seconds: not used; divide them in the file, then make it a time"
    return Decision("ignored", f"{unit} since 1970", look=(why,), instead="time")
