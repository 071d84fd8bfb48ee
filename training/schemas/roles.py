"""Which column has which role, and why; what has none of those it could have is said."""

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any

from fraud.errors import DataError
from training.schemas import names
from training.schemas.collect import Findings
from training.schemas.decision import Decision
from training.schemas.telling import Label
from training.schemas.value_rules import RELATIVE, TIME_OF_DAY

_PLAIN = {"0", "1", "0.0", "1.0", "true", "false"}
_MEANS_FRAUD = frozenset(
    (
        *("1", "1.0", "true", "yes", "y", "t", "ja", "fraud", "fraudulent", "confirmed fraud", "chargeback"),
        *("betrug", "fraude", "frode", "bad"),
    )
)
_MEANS_LEGITIMATE = frozenset(
    (
        *("0", "0.0", "false", "no", "n", "nein", "non", "ok", "okay", "good", "clean", "normal", "valid", "none"),
        *("legit", "legitimate", "genuine", "legal", "not fraud", "non fraud", "nonfraud", "no fraud", "kein betrug"),
        *("legitim", "echt", "gut", "in ordnung"),
    )
)
_SAID = 5
_MOST_WITHOUT_TIME = 0.05


@dataclass
class Roles:
    """Columns by role, each with the reason that the draft gives."""

    columns: dict[str, str] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    """Of a role that no column has: why not."""
    look: list[str] = field(default_factory=list)
    is_turned: str | None = None
    """Where most rows would be fraud: what to ask of the label."""
    fraud: str | None = None
    """The value of the label that means fraud, where it has to be said."""
    label: Label | None = None

    def give(self, role: str, name: str | None, why: str) -> None:
        """Note who has a role, or why nobody has."""
        self.why[role] = why
        if name is not None:
            self.columns[role] = name


def find_label(found: Findings) -> Roles:
    """The label alone. Raises DataError when the one that was told has not two values."""
    roles = Roles()
    if found.label is None:
        roles.give("label", None, "no column of two values has a name such as is_fraud; name it with --label")
        roles.look.append("no label was found: name it with --label NAME")
        return roles
    facts = found.columns[found.label]
    counts = dict(facts.distinct.most_frequent(_SAID + 1))
    if len(counts) != 2:
        said = ", ".join(map(repr, list(counts)[:_SAID])) + (", ..." if len(counts) > _SAID else "")
        problem = f"expected two values in the label {found.label!r}, got {said}"
        if found.is_label_told:
            raise DataError(f"{found.files[0]}: {problem}")
        roles.give("label", None, f"{problem}; name another with --label")
        roles.look.append(problem)
        return roles
    return _of_two_values(found, roles, counts)


def _of_two_values(found: Findings, roles: Roles, counts: dict[str, int]) -> Roles:
    assert found.label is not None  # noqa: S101 - the caller has looked
    rarer = min(counts, key=counts.__getitem__)
    fraud, why = _which_is_fraud(list(counts), rarer)
    frauds, blank = counts[fraud], found.columns[found.label].blank
    roles.label = Label(found.label, found.marked == fraud.strip(), found.rows - blank, frauds)
    told = "as told" if found.is_label_told else "by its name and its two values"
    roles.give("label", found.label, f"{told}: {frauds:,} of {found.rows:,} rows ({frauds / found.rows:.2%}) are fraud")
    if not {value.strip().lower() for value in counts} <= _PLAIN:
        roles.fraud = fraud.strip()
        roles.why["fraud"] = why
        roles.look.append(f"{found.label}: {fraud!r} is taken for fraud, {roles.why['fraud']}")
    if fraud != rarer:
        other = json.dumps([rarer.strip()], ensure_ascii=False)
        roles.is_turned = (
            f"{frauds / found.rows:.1%} of all rows would be fraud ({fraud!r} is the more frequent value): "
            f"is the label turned round? If so, write fraud = {other} below [roles]"
        )
        roles.look.insert(0, f"{found.label}: {roles.is_turned}")
    if blank:
        roles.look.append(f"{found.label}: {blank:,} rows have no label; they cannot be trained on, leave them out")
    return roles


def _which_is_fraud(values: list[str], rarer: str) -> tuple[str, str]:
    """The one of two values, and why: a word that is known for either decides before how often it was met."""
    said = {value: re.sub(r"[_\s-]+", " ", value.strip().lower()) for value in values}
    both = " and ".join(sorted(values))
    frauds = [value for value in values if said[value] in _MEANS_FRAUD]
    others = [value for value in values if said[value] in _MEANS_LEGITIMATE]
    if len(frauds) == 1:
        return frauds[0], f"{'the rarer one' if frauds[0] == rarer else 'by its meaning'} of {both}"
    if len(others) == 1:
        fraud = values[1 - values.index(others[0])]
        why = "the rarer one" if fraud == rarer else f"because {others[0]!r} means legitimate,"
        return fraud, f"{why} of {both}"
    return rarer, f"the rarer one of {both}"


def give_roles(roles: Roles, found: Findings, decisions: dict[str, Decision]) -> dict[str, Decision]:
    """Add id, time and amount to ``roles``; the decisions with what follows from it."""
    decisions = _give_time(roles, found, decisions)
    ids = [name for name, decision in decisions.items() if decision.is_id]
    chosen = next((name for name in ids if names.is_event_id(name)), next(iter(ids), None))
    roles.give(
        "id", chosen, "unique a row, and named so" if chosen else "no column is unique a row and named as an id is"
    )
    _give_amount(roles, decisions)
    return decisions


def _give_time(roles: Roles, found: Findings, decisions: dict[str, Decision]) -> dict[str, Decision]:
    times = [name for name, decision in decisions.items() if decision.kind == "time"]
    missing = {name: found.columns[name].missing for name in times}
    own = [name for name in times if missing[name] <= _MOST_WITHOUT_TIME * found.rows and not names.is_other_time(name)]
    own.sort(key=lambda name: not names.is_time(name))
    chosen = next(iter(own), None)
    roles.give(
        "time", chosen, "a time, by its name" if chosen and names.is_time(chosen) else "the first column of times"
    )
    if chosen is None:
        roles.why["time"] = "no column tells when: rows are split at random, and no hour is known"
        roles.look.append("no time of the transaction was found: rows are split at random, and no hour is known")
    elif missing[chosen]:
        roles.look.append(f"{chosen}: {missing[chosen]:,} rows have no time; a transaction has one, leave them out")
    left = "another time than the transaction's: nothing is made of it, not used"
    changed = {name: decisions[name].left_out(left) for name in times if name != chosen}
    changed |= {
        name: replace(decision, look=(_joined(name, chosen, found),))
        for name, decision in decisions.items()
        if decision.why == TIME_OF_DAY
    }
    if chosen is not None:
        changed[chosen] = replace(decisions[chosen], settings=_without_missing(decisions[chosen]))
    return decisions | changed


def _joined(clock: str, time: str | None, found: Findings) -> str:
    """What to do with a column of times of day."""
    said = "times of day, not used by themselves:"
    if time is None:
        return f"{said} join them to a column of dates in the file, or write the hour as a number"
    span = found.columns[time].times.span
    if span is None or span.has_clock:
        return f"{said} {time} has a clock; write the hour as a number"
    day, own = (str(found.columns[name].distinct.values[0])[:40].strip() for name in (time, clock))
    frame = ' + " " + '.join(f"frame[{json.dumps(name, ensure_ascii=False)}].astype(str)" for name in (time, clock))
    return f"{said} join them to {time} in the file, as {f'{day} {own}'!r} (in pandas {frame}), and draft it anew"


def _without_missing(decision: Decision) -> dict[str, Any]:
    return {key: value for key, value in decision.settings.items() if key != "missing"}


def _give_amount(roles: Roles, decisions: dict[str, Decision]) -> None:
    ranks = {
        name: rank
        for name, decision in decisions.items()
        if decision.kind == "number" and (rank := names.amount_rank(name)) is not None
    }
    chosen = min(ranks, key=ranks.__getitem__, default=None)
    roles.give(
        "amount", chosen, "a number, by its name" if chosen else "no number has such a name: no figures of money"
    )
    others = [name for name in ranks if name != chosen and ranks[name] == ranks[chosen or name]]
    if others:
        roles.look.append(f"{chosen} is taken for the amount; or is it {' or '.join(others)}?")


def derived(decision: Decision, *, has_clock: bool) -> Decision:
    """The decision of the time role, with what is made of it."""
    features = ["hour", "weekday"] if has_clock else ["weekday"]
    if decision.why == RELATIVE:
        features = ["hour"]
    return replace(decision, settings={"derive": features} | decision.settings)
