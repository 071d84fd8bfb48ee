"""Rules on values: times in a format or as numbers, quantities, codes and keys, and what is no plain number."""

import re
from dataclasses import replace
from typing import Any

import numpy as np

from fraud.inputs import times
from training.schemas import names
from training.schemas.column_facts import MISSING_WORDS, ColumnFacts
from training.schemas.decision import Decision
from training.schemas.time_formats import DIGITS, ISO, swapped

RELATIVE = "seconds since a start that is not told"
TIME_OF_DAY = "times of day"
EPOCH = (631_152_000, 4_102_444_800)
"""Seconds since 1970 of the years 1990 and 2100."""
_FEW_LEVELS = 50
_MANY_LEVELS = 1_000
_FIRST_OF_TWELVE_DIGITS = 1e11
_MOST_ROWS_OF_A_LEVEL = 50
_GROUPED = r"\d(?:[ -]?\d){11,}"
_WITH_DIGIT = r".*\d.*"
_LETTERS_AND_DIGITS = r"(?=.*[A-Za-z])(?=.*\d)[A-Za-z0-9_-]{6,}"
_MAX_CODES = 1_000
_MAX_SPARSE = 200
_MIN_TEXTS = 20
_IN_UTC = 'hours are those of "UTC"; set `zone` to have local ones, as "Europe/Berlin"'
_CLOCK = r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?: ?[AaPp]\.?[Mm]\.?)?"
_STAND_INS = (-1, -9, -99, -999, -9999)
_UNIT = re.compile(
    r"(?:[^\w\s.,+-]\s?|[A-Z]{3}\s)?[+-]?\d{1,3}(?:[,.' ]?\d{3})*(?:[.,]\d+)?(?:\s?[^\w\s.,+-]|\s[A-Z]{3})?"
)


def moment(facts: ColumnFacts) -> Decision | None:
    if facts.type == "time":
        return _time(facts, None, is_zoned=facts.zone is not None)
    forms = facts.times.formats
    if not forms:
        return None
    form = ISO if ISO in forms else forms[0]
    if form in DIGITS and names.is_id(facts.name):
        return None  # a day, and a number of that day
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
    settings: dict[str, Any] = {"zone": "UTC"} if form is None else {"format": form, "zone": "UTC"}
    why = "points of time" if facts.type == "time" else f"times, written as {form or 'ISO 8601'}"
    if not is_zoned or facts.times.unzoned:
        said = 'the times name no zone: "UTC" is assumed; set the one of the clock that wrote them, as "Europe/Berlin"'
        return Decision("time", why, settings, (said,))
    if facts.zone is None or not _is_place(facts.zone):
        return Decision("time", why, settings, (_IN_UTC,))
    return Decision("time", f"{why} of {facts.zone}", settings | {"zone": facts.zone})


def _is_place(zone: str) -> bool:
    """Whether a zone of a Parquet file is one of the zones by name, other than UTC."""
    try:
        times.zone_of(zone)
    except ValueError:
        return False
    return "/" in zone and not zone.startswith("Etc/")


def clock(facts: ColumnFacts) -> Decision | None:
    if not facts.texts_fit(_CLOCK):
        return None
    return Decision("ignored", TIME_OF_DAY, instead="category")


def epoch(facts: ColumnFacts) -> Decision | None:
    could_be = facts.is_all_numbers and facts.is_sorted and not names.is_id(facts.name)
    if not could_be and not (facts.is_all_numbers and names.is_time(facts.name)):
        return None
    for unit, per_second in (("seconds", 1), ("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9)):
        if EPOCH[0] <= facts.lowest / per_second and facts.highest / per_second < EPOCH[1]:
            return _seconds_since_1970(facts) if unit == "seconds" else _other_unit(unit)
    could_count = facts.is_sorted and facts.lowest >= 0 and facts.highest < EPOCH[1] and facts.distinct.count > 24
    if names.is_time(facts.name) and could_count:
        said = (
            "rising numbers of this name are taken for seconds; hours of the day are right if it counts from a midnight"
        )
        return Decision("time", RELATIVE, {"minimum": 0}, (said,))
    return None


def _seconds_since_1970(facts: ColumnFacts) -> Decision:
    look = () if names.is_time(facts.name) else ("rising numbers that could be seconds since 1970 are taken for times",)
    return Decision("time", "seconds since 1970", {"zone": "UTC"}, (*look, _IN_UTC))


def _other_unit(unit: str) -> Decision:
    why = f"{unit} since 1970, and times are taken in seconds: not used; divide them in the file, then make it a time"
    return Decision("ignored", f"{unit} since 1970", look=(why,), instead="time")


def is_long_number(facts: ColumnFacts) -> bool:
    """Whether all values are whole numbers of twelve digits or more, as no quantity is but an amount by its name."""
    if names.amount_rank(facts.name) is not None:
        return False
    is_whole = facts.is_all_numbers and facts.whole == facts.numbers
    return (is_whole and facts.lowest >= _FIRST_OF_TWELVE_DIGITS) or facts.texts_fit(_GROUPED)


def long_number(facts: ColumnFacts) -> Decision | None:
    if not is_long_number(facts):
        return None
    few = f'no more than {facts.distinct.count} different: with kind = "category" it would be an input'
    why = "whole numbers of 12 digits or more that repeat name something: for history, no input by itself"
    return Decision("key", why, look=(few,) if facts.distinct.count <= _FEW_LEVELS else ())


def key(facts: ColumnFacts) -> Decision | None:
    """By the name of a column: whose transaction it is."""
    is_whole = facts.is_all_numbers and facts.whole == facts.numbers
    if facts.type not in ("text", "number") or not (is_whole or not facts.numbers or facts.leading_zeros):
        return None
    is_named = names.is_key(facts.name) and (not is_whole or names.identifies(facts.name))
    least = _FEW_LEVELS if is_named and names.identifies(facts.name) else _MANY_LEVELS
    if facts.distinct.count <= least or not (is_named or names.is_id(facts.name)):
        return None
    return Decision("key", f"named as whose it is, {_often(facts)}: for history, no input by itself")


def identifier(facts: ColumnFacts) -> Decision | None:
    """By the form of texts of which most stand in few rows, or by their name where it ends as that of an identifier."""
    count = facts.distinct.count
    few = np.median(facts.distinct.rows) <= _MOST_ROWS_OF_A_LEVEL or count > _MANY_LEVELS
    if (
        facts.type != "text"
        or facts.is_all_numbers
        or count <= _FEW_LEVELS
        or not few
        or names.is_place_or_code(facts.name)
    ):
        return None
    if names.identifies(facts.name) and facts.texts_fit(_WITH_DIGIT):
        return Decision("key", f"named as an identifier, {_often(facts)}: for history, no input by itself")
    if _is_of_one_form(facts) and not names.is_code(facts.name):
        why = "letters and digits of one length, as of an identifier"
        ask = f'{count} texts of one form are taken for identifiers; if they are sorts of things, say kind = "category"'
        return Decision("key", f"{why}, {_often(facts)}: for history, no input by itself", look=(ask,))
    return None


def _is_of_one_form(facts: ColumnFacts) -> bool:
    return facts.texts_fit(_LETTERS_AND_DIGITS) and len({len(str(v).strip()) for v in facts.distinct.values}) == 1


def _often(facts: ColumnFacts) -> str:
    return f"{facts.filled / facts.distinct.count:.1f} rows a value"


def code(facts: ColumnFacts) -> Decision | None:
    if not facts.is_all_numbers or facts.whole < facts.numbers:
        return None
    if facts.leading_zeros:
        return _coded(facts, "numbers with leading zeros are codes")
    if names.is_surely_code(facts.name) or (names.is_code(facts.name) and facts.distinct.count <= _MAX_CODES):
        return _coded(facts, "whole numbers of this name are codes")
    same_length = len(f"{facts.lowest:.0f}") == len(f"{facts.highest:.0f}")
    is_sparse = facts.lowest >= 100 and same_length and facts.distinct.count * 4 < facts.highest - facts.lowest + 1
    if is_sparse and facts.distinct.count <= _MAX_SPARSE and names.amount_rank(facts.name) is None:
        return _coded(facts, f"few ({facts.distinct.count}) different whole numbers with gaps are taken for codes")
    return None


def _coded(facts: ColumnFacts, why: str) -> Decision:
    many = facts.distinct.count > _MANY_LEVELS
    look = (f"{facts.distinct.count} different codes: rare ones fold into one",) if many else ()
    return Decision("category", why, look=look)


def number(facts: ColumnFacts) -> Decision | None:
    if not facts.is_all_numbers:
        return None
    why = "numbers"
    if facts.whole == facts.numbers and facts.distinct.count <= 10:
        why = 'few whole numbers without gaps, taken for a quantity (if they are codes, say kind = "category")'
    settings = {"minimum": 0} if facts.lowest >= 0 and names.is_never_negative(facts.name) else {}
    return Decision("number", why, settings, _stand_in(facts))


def _stand_in(facts: ColumnFacts) -> tuple[str, ...]:
    """A word on the one negative number of a column, as people write for no value."""
    if facts.lowest not in _STAND_INS:
        return ()
    numbers, order = facts.sorted_numbers()
    if len(order) < 2 or numbers[order[1]] < 0:
        return ()
    share = facts.distinct.rows[order[0]] / max(facts.distinct.rows.sum(), 1)
    return (f"{facts.lowest:g} ({share:.1%}) is the one number below 0: if it stands for no value, leave it empty",)


def with_a_unit(facts: ColumnFacts) -> Decision | None:
    texts = [str(value).strip() for value in facts.distinct.values[:_MAX_CODES]]
    texts = [text for text in texts if text.lower() not in MISSING_WORDS]
    if (
        facts.type != "text"
        or facts.is_all_numbers
        or is_long_number(facts)
        or facts.distinct.count < _MIN_TEXTS
        or not all(map(_UNIT.fullmatch, texts))
    ):
        return None
    shown = next((text for text in texts if re.search(r"[^\d.]", text)), "")
    why = f"numbers with a unit, or marks of thousands ({shown!r}): not used; write plain numbers"
    return Decision("ignored", "numbers that are not plain", look=(why,), instead="number")
