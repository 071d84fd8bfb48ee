"""Draft a schema from files of transactions: every decision with its reason, and what a person should look at."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fraud import schema
from fraud.errors import DataError
from training.schemas import kinds, roles, telling, wording
from training.schemas.collect import Findings, collect
from training.schemas.decision import Decision
from training.schemas.roles import Roles


@dataclass(frozen=True)
class Draft:
    """A schema as TOML with comments."""

    text: str
    look: tuple[str, ...]
    """What a person should look at, a line each."""
    rows: int
    frauds: int | None
    files: tuple[str, ...]
    """How each is written."""


def infer(files: Sequence[Path | str], label: str | None = None) -> Draft:
    """Draft the schema of one data set in ``files``; ``label`` is the column of what was found out.

    One pass in constant memory; the same for the same files. Raises DataError when there is no table, when the label
    that was told has not two values, or when no column can be used; RegistryError when S3 fails.
    """
    found = collect(files, label)
    given = roles.find_label(found)
    named = given.columns.get("label")
    decisions = {name: kinds.decide(facts) for name, facts in found.columns.items() if name != named}
    decisions = roles.give_roles(given, found, _without_leaks(found, given, decisions))
    decisions = _finished(found, given, decisions)
    if not any(decision.kind in schema.INPUT_KINDS for decision in decisions.values()):
        left = ", ".join(f"{name} ({decision.why})" for name, decision in decisions.items())
        raise DataError(f"{', '.join(found.files)}: no column can be an input of a model; left out: {left or 'none'}")
    text = _text(found, given, decisions)
    schema.parse(text, "the draft")
    look = [
        *given.look,
        *(f"{name}: {said}" for name, one in decisions.items() if name != given.columns.get("id") for said in one.look),
        *([_AT_THE_END] if _histories(given, decisions) else []),
    ]
    frauds = given.label.frauds if given.label else None
    return Draft(text, tuple(look), found.rows, frauds, tuple(found.words))


_AT_THE_END = "what keys did before is drafted as comments, at the end of the schema: see docs/history.md"


def _without_leaks(found: Findings, given: Roles, decisions: dict[str, Decision]) -> dict[str, Decision]:
    """The decisions, without what tells the label by itself."""
    if given.label is None:
        return decisions
    result = dict(decisions)
    for name, decision in decisions.items():
        if decision.kind in ("ignored", "key"):
            continue
        told = telling.measure(found.columns[name], given.label, is_number=decision.kind == "number")
        if told is not None and told.is_the_label:
            result[name] = decision.left_out(f"it tells the label by itself ({told.words}): a leak, not used")
        elif told is not None and told.is_suspect:
            said = f"it nearly tells the label ({told.words}): was it known before the fraud was?"
            result[name] = replace(decision, look=(*decision.look, said))
    return result


def _finished(found: Findings, given: Roles, decisions: dict[str, Decision]) -> dict[str, Decision]:
    """What follows for a column from the roles, and from what stands for missing in all others."""
    result = dict(decisions)
    if (time := given.columns.get("time")) is not None:
        span = found.columns[time].times.span
        result[time] = roles.derived(decisions[time], has_clock=span is None or span.has_clock)
    if (amount := given.columns.get("amount")) is not None and found.columns[amount].lowest >= 0:
        result[amount] = replace(result[amount], settings=result[amount].settings | {"minimum": 0})
    for word in kinds.missing_words(result, found.columns) or ():
        for name, decision in result.items():
            if decision.kind in ("category", "key") and word in found.columns[name].said_missing:
                said = f"{word!r} means a missing value here too, because another column has it for one"
                result[name] = replace(decision, settings=decision.settings | {"missing": True}, look=(said,))
    return result


def _text(found: Findings, given: Roles, decisions: dict[str, Decision]) -> str:
    words = kinds.missing_words(decisions, found.columns)
    missing = [
        "# What stands for a missing value in files. Said once for all columns.",
        f"missing_values = {_value(list(words or ()))}",
        "",
    ]
    return "\n".join(
        [
            *_head(found, given),
            f"name = {_value(_name(found.files[0]))}",
            "",
            *(missing if words else []),
            *_roles(given),
            *(line for name, decision in decisions.items() for line in _column(found, given, name, decision)),
            *_histories(given, decisions),
        ]
    )


def _head(found: Findings, given: Roles) -> list[str]:
    more = f" and {len(found.files) - 3} more" if len(found.files) > 3 else ""
    frauds = f", {given.label.frauds:,} of them fraud" if given.label else ""
    files = "".join(c if c.isprintable() else "?" for c in ", ".join(found.files[:3])) + more
    return [
        f"# A draft, made of {files}: {found.rows:,} rows{frauds}. {'; '.join(found.words)}.",
        "# Comments say what was found. Read them, most of all those with LOOK, and change what is not so.",
        "# Ranges are not made bounds: new rows may lie beyond them. What is ignored has below it what would use it.",
    ]


def _roles(given: Roles) -> list[str]:
    lines = ["[roles]"]
    for role in ("label", "fraud", "id", "time", "amount"):
        if role == "fraud":
            lines += [f"fraud = {_value([given.fraud])}  # {given.why['fraud']}"] if given.fraud is not None else []
        elif role in given.columns:
            lines += [f"# LOOK: {given.is_turned}"] if role == "label" and given.is_turned else []
            lines.append(f"{role} = {_value(given.columns[role])}  # {given.why[role]}")
        else:
            lines.append(f"# {role}: {given.why[role]}")
    return [*lines, ""]


def _column(found: Findings, given: Roles, name: str, decision: Decision) -> list[str]:
    if name == given.columns.get("id"):
        return []
    return [
        f"# {wording.line(found.columns[name], decision)}",
        *(f"# LOOK: {said}" for said in decision.look),
        f"[columns.{_key(name)}]",
        *(_ignored(decision) if decision.kind == "ignored" else _used(decision)),
        "",
    ]


def _histories(given: Roles, decisions: dict[str, Decision]) -> list[str]:
    """What could be made of what each key did before; nothing where there are no keys, or no times."""
    keys = [name for name, decision in decisions.items() if decision.kind == "key"]
    if not keys or "time" not in given.columns:
        return []
    amount = given.columns.get("amount")
    of = ["count", *([f"mean:{amount}", f"ratio:{amount}"] if amount else []), "seconds_since_last"]
    lines = [
        "# LOOK: what a key did before often says more than the payment itself (docs/history.md). A summed column",
        '# needs `decimals = 2` in its table; `fraud_count` and `fraud_share` need `label_delay = "7d"`, how late',
        "# labels are known. To have histories, take away the first `# ` of each line below.",
    ]
    for key in keys:
        lines += [
            "# [[history]]",
            f"# key = {_value(key)}",
            '# windows = ["1h", "1d", "7d", "30d"]',
            f"# of = {_value(of)}",
        ]
    return [*lines, ""]


def _used(decision: Decision) -> list[str]:
    return [
        f"kind = {_value(decision.kind)}",
        *(f"{key} = {_value(value)}" for key, value in decision.settings.items()),
    ]


def _ignored(decision: Decision) -> list[str]:
    return [
        'kind = "ignored"',
        *(f"# {line}" for line in _used(replace(decision, kind=decision.instead or decision.kind))),
    ]


def _value(value: Any) -> str:  # noqa: ANN401 - what TOML and JSON write alike
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _name(file: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", file.lower().split(".")[0]).strip("-")
    return plain[:63].strip("-") or "transactions"
