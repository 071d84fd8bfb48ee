"""What the comments of a draft say of a column: what it holds, in one line."""

from datetime import UTC, datetime

from training.schemas.column_facts import ColumnFacts
from training.schemas.decision import Decision
from training.schemas.value_rules import EPOCH, is_long_number

_LEVELS = 6
_MAX_TEXT = 40


def line(facts: ColumnFacts, decision: Decision) -> str:
    """Range, levels with shares, how many different values, and the share that is missing."""
    kind = decision.instead or decision.kind
    parts = [decision.why, _content(facts, kind), _different(facts, kind)]
    missing = facts.missing_in(kind)
    parts.append(f"{missing / facts.rows:.1%} missing" if missing else "never missing")
    return "; ".join(part for part in parts if part)


def _content(facts: ColumnFacts, kind: str) -> str:
    if not facts.filled:
        return ""
    if kind == "time":
        return _span(facts)
    if kind in ("category", "boolean"):
        return _levels(facts)
    if is_long_number(facts):
        return ""  # a card's or an account's own number
    if facts.is_all_numbers:
        whole = "whole, " if facts.whole == facts.numbers else ""
        return f"{whole}{_number(facts.lowest)} to {_number(facts.highest)}"
    return ""


def _span(facts: ColumnFacts) -> str:
    if (span := facts.times.span) is not None:
        return f"{str(span.earliest)[:19]} to {str(span.latest)[:19]}"
    if EPOCH[0] <= facts.lowest <= facts.highest < EPOCH[1]:
        first, last = (datetime.fromtimestamp(value, UTC) for value in (facts.lowest, facts.highest))
        return f"{first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC"
    return f"{_number(facts.lowest)} to {_number(facts.highest)}"


def _levels(facts: ColumnFacts) -> str:
    top = facts.distinct.most_frequent(_LEVELS)
    if top[0][1] < 0.005 * facts.rows or (facts.text_words >= 3 * facts.filled and facts.distinct.count > _LEVELS):
        return ""
    said = ", ".join(f"{shown(text)} {rows / facts.rows:.1%}" for text, rows in top)
    return said + (", ..." if facts.distinct.count > len(top) else "")


def _different(facts: ColumnFacts, kind: str) -> str:
    if kind == "time" or not facts.filled:
        return ""
    about = "" if facts.distinct.is_exact else "about "
    return f"{about}{facts.distinct.count:,} {'levels' if kind == 'category' else 'different values'}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value % 1 == 0 and abs(value) < 1e15 else f"{value:.6g}"


def shown(text: str) -> str:
    """A value as a comment may hold it: on one line, and not too long."""
    plain = "".join(character if character.isprintable() else "?" for character in text)
    return repr(plain if len(plain) <= _MAX_TEXT else plain[: _MAX_TEXT - 3] + "...")
