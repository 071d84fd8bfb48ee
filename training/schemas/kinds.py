"""What kind a column is, and why: rules in their order, each with a reason that the draft repeats."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from fraud.schema import ID_PATTERN, NULLS, Kind
from training.schemas import names
from training.schemas.column_facts import ColumnFacts
from training.schemas.time_formats import ISO, swapped

BOOLEANS = (("false", "true"), ("f", "t"), ("no", "yes"), ("n", "y"), ("0", "1"))
RELATIVE = "seconds since a start that is not told"
_MIN_UNIQUE = 20
_MAX_CODES = 1_000
_MANY_LEVELS = 1_000
_EPOCH = (631_152_000, 4_102_444_800)
"""Seconds since 1970 of the years 1990 and 2100."""


@dataclass(frozen=True)
class Decision:
    """What a draft says of a column; an ignored one may be brought back as ``instead``."""

    kind: Kind
    why: str
    settings: dict[str, Any] = field(default_factory=dict)
    """What stands below the kind, as TOML has it."""
    look: tuple[str, ...] = ()
    """What a person should look at."""
    instead: Kind | None = None
    is_id: bool = False
    """Whether it could have the role of the id."""

    def left_out(self, why: str) -> "Decision":
        """The same column as one that is not used."""
        return replace(self, kind="ignored", look=(why,), instead=self.instead or self.kind)


Rule = Callable[[ColumnFacts], Decision | None]


def decide(facts: ColumnFacts) -> Decision:
    """What to say of a column."""
    found = next(decision for rule in RULES if (decision := rule(facts)) is not None)
    if facts.missing_in(found.kind):
        settings = {"missing": True} | found.settings if found.kind not in ("ignored",) else found.settings
        return replace(found, settings=settings)
    return found


def _nothing(facts: ColumnFacts) -> Decision | None:
    if facts.filled:
        return None
    why = "there is no value in any row"
    return Decision("ignored", "empty", look=(f"{why}: not used",), instead="number")


def _constant(facts: ColumnFacts) -> Decision | None:
    if facts.distinct.count > 1 or facts.blank:
        return None
    value = facts.distinct.values[0]
    return Decision("ignored", "constant", look=(f"every row holds {str(value)!r}: it tells nothing, not used",), instead=_plain(facts))


def _saved_index(facts: ColumnFacts) -> Decision | None:
    starts_anew = facts.is_all_numbers and facts.counts_up and facts.lowest in (0, 1) and facts.rows > 1
    if not starts_anew or not names.is_saved_index(facts.name):
        return None
    why = "a saved index (it counts the rows): not used; write the file without it, in pandas with index=False"
    return Decision("ignored", "saved index", look=(why,), instead="number")


def _moment(facts: ColumnFacts) -> Decision | None:
    if facts.type == "time":
        return _time(facts, None, is_zoned=facts.zone is not None)
    forms = facts.times.formats
    if facts.type != "text" or not forms:
        return None
    form = ISO if ISO in forms else forms[0]
    found = _time(facts, None if form == ISO else form, is_zoned=facts.times.zoned)
    if facts.times.zoned and facts.times.unzoned:
        found = replace(found, look=(*found.look, "some times have a zone and some have none: those are taken in `zone`"))
    if both := swapped(forms):
        ask = f"day or month first? No row tells: {' or '.join(both)}; ask who wrote the file, and set `format`"
        return replace(found, look=(ask, *found.look))
    return found


def _time(facts: ColumnFacts, form: str | None, *, is_zoned: bool) -> Decision:
    settings: dict[str, Any] = {} if form is None else {"format": form}
    look: tuple[str, ...] = ()
    if not is_zoned or facts.times.unzoned:
        settings["zone"] = "UTC"
        look = ('the times name no zone: "UTC" is assumed; set the one of the clock that wrote them, as "Europe/Berlin"',)
    why = "points of time" if facts.type == "time" else f"times, written as {form or 'ISO 8601'}"
    return Decision("time", why, settings, look)


def _epoch(facts: ColumnFacts) -> Decision | None:
    if not facts.is_all_numbers or not (names.is_time(facts.name) or facts.is_sorted):
        return None
    for unit, per_second in (("seconds", 1), ("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9)):
        if _EPOCH[0] <= facts.lowest / per_second and facts.highest / per_second < _EPOCH[1]:
            return _seconds_since_1970(facts) if unit == "seconds" else _other_unit(unit)
    if names.is_time(facts.name) and facts.is_sorted and facts.lowest >= 0 and facts.distinct.count > 24:
        said = "rising numbers of this name are taken for seconds; hours of the day are right if it counts from a midnight"
        return Decision("time", RELATIVE, {"minimum": 0}, (said,))
    return None


def _seconds_since_1970(facts: ColumnFacts) -> Decision:
    look = () if names.is_time(facts.name) else ("rising numbers that could be seconds since 1970 are taken for times",)
    zone = 'hours are those of "UTC"; set `zone` to have local ones'
    return Decision("time", "seconds since 1970", {"zone": "UTC"}, (*look, zone))


def _other_unit(unit: str) -> Decision:
    why = f"{unit} since 1970, and times are taken in seconds: not used; divide them in the file, then make it a time"
    return Decision("ignored", f"{unit} since 1970", look=(why,), instead="time")


def _unique(facts: ColumnFacts) -> Decision | None:
    if not facts.distinct.is_unique or facts.rows < _MIN_UNIQUE or facts.blank > facts.filled:
        return None
    if facts.is_all_numbers and not _counts_rows(facts):
        return None
    is_id = names.is_id(facts.name) and not facts.missing and (facts.type == "number" or facts.fits(ID_PATTERN))
    why = "unique a row: it leaks, or means nothing for the next row; not used"
    if facts.text_words >= 3 * facts.filled and not is_id:
        why = "free text, another in each row; not used"
    return Decision("ignored", "unique a row", look=(why,), instead=_plain(facts), is_id=is_id)


def _counts_rows(facts: ColumnFacts) -> bool:
    """Whether unique numbers are rather names: whole, and named so or without gaps."""
    is_dense = facts.highest - facts.lowest < 2 * facts.rows
    return facts.whole == facts.filled and (is_dense or names.is_id(facts.name) or names.identifies(facts.name))


def _boolean(facts: ColumnFacts) -> Decision | None:
    if facts.type == "boolean":
        return Decision("boolean", "true or false")
    texts = facts.texts_in_lower_case()
    if facts.distinct.count != 2 or texts is None or tuple(sorted(texts)) not in BOOLEANS:
        return None
    return Decision("boolean", " or ".join(sorted(texts, reverse=True)))


def _free_text(facts: ColumnFacts) -> Decision | None:
    often = facts.filled / max(facts.distinct.count, 1)
    if facts.type != "text" or facts.numbers or facts.text_words < 3 * facts.filled or often > 10:
        return None
    return Decision("ignored", "free text", look=("free text: not used",), instead="category")


def _key(facts: ColumnFacts) -> Decision | None:
    is_whole = facts.is_all_numbers and facts.whole == facts.filled - sum(facts.said_missing.values())
    if facts.type not in ("text", "number") or not (is_whole or not facts.numbers or facts.leading_zeros):
        return None
    is_named = names.is_key(facts.name) and names.identifies(facts.name)
    is_high = facts.distinct.count > _MANY_LEVELS
    if not (is_named and facts.distinct.count > 50) and not (is_high and (names.is_key(facts.name) or names.is_id(facts.name))):
        return None
    often = facts.filled / facts.distinct.count
    return Decision("key", f"named as whose it is, and repeats ({often:.1f} rows a value): for history, no input by itself")


def _code(facts: ColumnFacts) -> Decision | None:
    if not facts.is_all_numbers or facts.whole < facts.filled - sum(facts.said_missing.values()):
        return None
    if facts.leading_zeros:
        return _coded(facts, "numbers with leading zeros are codes")
    if names.is_code(facts.name) and facts.distinct.count <= _MAX_CODES:
        return _coded(facts, "whole numbers of this name are codes")
    same_length = len(f"{facts.lowest:.0f}") == len(f"{facts.highest:.0f}")
    is_sparse = facts.lowest >= 100 and same_length and facts.distinct.count * 4 < facts.highest - facts.lowest + 1
    if is_sparse and facts.distinct.count <= 200 and names.amount_rank(facts.name) is None:
        return _coded(facts, f"few ({facts.distinct.count}) different whole numbers with gaps are taken for codes")
    return None


def _coded(facts: ColumnFacts, why: str) -> Decision:
    many = facts.distinct.count > _MANY_LEVELS
    look = (f"{facts.distinct.count} different codes: rare ones fold into one",) if many else ()
    return Decision("category", why, look=look)


def _number(facts: ColumnFacts) -> Decision | None:
    if not facts.is_all_numbers:
        return None
    why = "numbers"
    if facts.whole == facts.numbers and facts.distinct.count <= 10:
        why = 'few whole numbers without gaps, taken for a quantity (if they are codes, say kind = "category")'
    settings = {"minimum": 0} if facts.lowest >= 0 and names.is_never_negative(facts.name) else {}
    return Decision("number", why, settings)


def _category(facts: ColumnFacts) -> Decision:
    look: list[str] = []
    if facts.numbers > 0.5 * facts.filled and facts.words:
        said = ", ".join(repr(word) for word, _ in facts.words.most_common(3))
        look.append(f"{facts.numbers / facts.filled:.1%} are numbers, beside {said}: put right, or declared as missing, it is a number")
    if facts.distinct.count > _MANY_LEVELS:
        look.append(f"{facts.distinct.count} levels: rare ones fold into one; a key, or ignored, may be better")
    for word, rows in facts.said_missing.most_common(3):
        look.append(f"{word!r} ({rows / facts.rows:.1%}) is a level; if it stands for no value, name it in missing_values")
    return Decision("category", "texts that repeat", look=tuple(look))


def _plain(facts: ColumnFacts) -> Kind:
    return "number" if facts.is_all_numbers else "category"


RULES: tuple[Rule, ...] = (
    _nothing, _constant, _saved_index, _moment, _epoch, _unique, _boolean, _free_text, _key, _code, _number, _category,
)  # fmt: skip


def missing_words(decisions: dict[str, Decision], facts: dict[str, ColumnFacts]) -> tuple[str, ...] | None:
    """What stands for missing in numbers, booleans and times; None where the words of every schema do."""
    said = {
        word
        for name, decision in decisions.items()
        if decision.kind in ("number", "boolean", "time")
        for word in facts[name].said_missing
    }
    return ("", *sorted(said)) if said - set(NULLS) else None
