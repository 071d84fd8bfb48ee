"""What kind a column is, and why: rules in their order, each with a reason that the draft repeats."""

from dataclasses import replace

from fraud.schema import ID_PATTERN, NULLS, PARSED_KINDS
from training.schemas import names, value_rules
from training.schemas.column_facts import ColumnFacts
from training.schemas.decision import Decision, Rule, plain_kind

BOOLEANS = (("false", "true"), ("f", "t"), ("no", "yes"), ("n", "y"), ("0", "1"))
_MIN_UNIQUE = 20
_MANY_TEXTS = 100


def decide(facts: ColumnFacts) -> Decision:
    """What to say of a column."""
    found = next(decision for rule in RULES if (decision := rule(facts)) is not None)
    if facts.missing_in(found.instead or found.kind):
        return replace(found, settings={"missing": True} | found.settings)
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
    return Decision(
        "ignored",
        "constant",
        look=(f"every row holds {str(value)!r}: it tells nothing, not used",),
        instead=plain_kind(facts),
    )


def _saved_index(facts: ColumnFacts) -> Decision | None:
    starts_anew = facts.is_all_numbers and facts.counts_up and facts.lowest in (0, 1) and facts.rows > 1
    if not starts_anew or not names.is_saved_index(facts.name):
        return None
    why = "a saved index (it counts the rows): not used; write the file without it, in pandas with index=False"
    return Decision("ignored", "saved index", look=(why,), instead="number")


def _unique(facts: ColumnFacts) -> Decision | None:
    if not facts.distinct.is_unique or facts.rows < _MIN_UNIQUE or facts.blank > facts.filled:
        return None
    if facts.is_all_numbers and not _counts_rows(facts):
        return None
    may_be_id = not facts.missing and (facts.type == "number" or facts.fits(ID_PATTERN))
    is_id = names.is_id(facts.name) and may_be_id
    why = "unique a row: it leaks, or means nothing for the next row; not used"
    if may_be_id:
        why += f"; if it is the transaction's id, say id = {facts.name!r} in [roles] and leave this table out"
    if facts.text_words >= 3 * facts.filled and not is_id:
        why = "free text, another in each row; not used"
    return Decision("ignored", "unique a row", look=(why,), instead=plain_kind(facts), is_id=is_id)


def _counts_rows(facts: ColumnFacts) -> bool:
    """Whether unique numbers are rather names: whole, and named so or without gaps."""
    is_dense = facts.highest - facts.lowest < 2 * facts.rows
    is_named = names.is_id(facts.name) or names.identifies(facts.name)
    return facts.whole == facts.filled and (is_dense or is_named or value_rules.is_long_number(facts))


def _boolean(facts: ColumnFacts) -> Decision | None:
    if facts.type == "boolean":
        return Decision("boolean", "true or false")
    texts = facts.texts_in_lower_case()
    if facts.distinct.count != 2 or texts is None or tuple(sorted(texts)) not in BOOLEANS:
        return None
    if facts.is_all_numbers and names.is_never_negative(facts.name):
        return None  # a count that has been no more than 1 so far
    return Decision("boolean", " or ".join(sorted(texts, reverse=True)))


def _free_text(facts: ColumnFacts) -> Decision | None:
    often = facts.filled / max(facts.distinct.count, 1)
    if facts.type != "text" or facts.numbers or facts.text_words < 3 * facts.filled or often > 10:
        return None
    return Decision("ignored", "free text", look=("free text: not used",), instead="category")


def _category(facts: ColumnFacts) -> Decision:
    look: list[str] = []
    if facts.numbers > 0.5 * facts.filled and facts.words:
        said = ", ".join(repr(word) for word, _ in facts.words.most_common(3))
        look.append(f"{facts.numbers / facts.filled:.1%} are numbers, beside {said}: once put right it is a number")
    if facts.distinct.count > _MANY_TEXTS:
        look.append(f"{facts.distinct.count} levels: rare ones fold into one; a key, or ignored, may be better")
    for word, rows in facts.said_missing.most_common(3):
        look.append(
            f"{word!r} ({rows / facts.rows:.1%}) is a level; if it stands for no value, name it in missing_values"
        )
    return Decision("category", "texts that repeat", look=tuple(look))


RULES: tuple[Rule, ...] = (
    _nothing,
    _constant,
    _saved_index,
    value_rules.moment,
    value_rules.epoch,
    value_rules.clock,
    value_rules.with_a_unit,
    _unique,
    _boolean,
    value_rules.long_number,
    _free_text,
    value_rules.key,
    value_rules.identifier,
    value_rules.code,
    value_rules.number,
    _category,
)
"""The first that says something of a column decides; the last one always does."""


def missing_words(decisions: dict[str, Decision], facts: dict[str, ColumnFacts]) -> tuple[str, ...] | None:
    """What stands for missing in numbers, booleans and times; None where the words of every schema do."""
    said = {
        word
        for name, decision in decisions.items()
        if decision.kind in PARSED_KINDS
        for word in {*facts[name].said_missing, *facts[name].spaces}
    }
    return ("", *sorted(said)) if said - set(NULLS) else None
