"""Rules that tell quantities from codes and keys, and what is no plain number from texts."""

import re

from training.schemas import names
from training.schemas.column_facts import MISSING_WORDS, ColumnFacts
from training.schemas.decision import Decision

MANY_LEVELS = 1_000
_MAX_CODES = 1_000
_MAX_SPARSE = 200
_MIN_TEXTS = 20
_STAND_INS = (-1, -9, -99, -999, -9999)
_UNIT = re.compile(
    r"(?:[^\w\s.,+-]\s?|[A-Z]{3}\s)?[+-]?\d{1,3}(?:[,.' ]?\d{3})*(?:[.,]\d+)?(?:\s?[^\w\s.,+-]|\s[A-Z]{3})?"
)


def key(facts: ColumnFacts) -> Decision | None:
    is_whole = facts.is_all_numbers and facts.whole == facts.numbers
    if facts.type not in ("text", "number") or not (is_whole or not facts.numbers or facts.leading_zeros):
        return None
    is_named = names.is_key(facts.name) and (not is_whole or names.identifies(facts.name))
    least = 50 if is_named and names.identifies(facts.name) else MANY_LEVELS
    if facts.distinct.count <= least or not (is_named or names.is_id(facts.name)):
        return None
    often = facts.filled / facts.distinct.count
    return Decision("key", f"named as whose it is, {often:.1f} rows a value: for history, no input by itself")


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
    many = facts.distinct.count > MANY_LEVELS
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
        or facts.distinct.count < _MIN_TEXTS
        or not all(map(_UNIT.fullmatch, texts))
    ):
        return None
    shown = next((text for text in texts if re.search(r"[^\d.]", text)), "")
    why = f"numbers with a unit, or marks of thousands ({shown!r}): not used; write plain numbers"
    return Decision("ignored", "numbers that are not plain", look=(why,), instead="number")
