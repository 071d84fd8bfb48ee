"""Rules on values that name a card, an account or a customer: keys, whose history counts and not their value."""

import re

import numpy as np

from training.schemas import names
from training.schemas.column_facts import ColumnFacts
from training.schemas.decision import Decision

FEW_LEVELS = 50
MANY_LEVELS = 1_000
_FIRST_OF_TWELVE_DIGITS = 1e11
_MOST_ROWS_OF_A_LEVEL = 50
_GROUPED = r"\d(?:[ -]?\d){11,}"
_WITH_DIGIT = r".*\d.*"
_LETTERS_AND_DIGITS = re.compile(r"(?=.*[A-Za-z])(?=.*\d)[A-Za-z0-9_-]{6,}")


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
    return Decision("key", why, look=(few,) if facts.distinct.count <= FEW_LEVELS else ())


def key(facts: ColumnFacts) -> Decision | None:
    """By the name of a column: whose transaction it is."""
    is_whole = facts.is_all_numbers and facts.whole == facts.numbers
    if facts.type not in ("text", "number") or not (is_whole or not facts.numbers or facts.leading_zeros):
        return None
    is_named = names.is_key(facts.name) and (not is_whole or names.identifies(facts.name))
    least = FEW_LEVELS if is_named and names.identifies(facts.name) else MANY_LEVELS
    if facts.distinct.count <= least or not (is_named or names.is_id(facts.name)):
        return None
    return Decision("key", f"named as whose it is, {_often(facts)}: for history, no input by itself")


def text(facts: ColumnFacts) -> Decision | None:
    """By the form of texts of which most stand in few rows, or by their name where it ends as that of an identifier."""
    count = facts.distinct.count
    few = np.median(facts.distinct.rows) <= _MOST_ROWS_OF_A_LEVEL or count > MANY_LEVELS
    if (
        facts.type != "text"
        or facts.is_all_numbers
        or count <= FEW_LEVELS
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
    return (
        facts.texts_fit(_LETTERS_AND_DIGITS.pattern) and len({len(str(v).strip()) for v in facts.distinct.values}) == 1
    )


def _often(facts: ColumnFacts) -> str:
    return f"{facts.filled / facts.distinct.count:.1f} rows a value"
