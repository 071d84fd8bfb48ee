"""``python -m training summary``: what a retrain came to, as Markdown for the summary of a workflow run."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fraud.errors import DataError, system_words

CAUSE = (
    "alert",
    "model_version",
    "feature",
    "severity",
    "namespace",
    "environment",
    "cluster",
    "summary",
    "starts_at",
    "also",
)  # as monitoring/receiver/webhook.py sends
MAX_CAUSE_TEXT = 300

FIGURES = ("average_precision", "precision", "recall", "roc_auc", "precision_at_100", "amount_caught_share")


def read(path: Path) -> dict[str, Any]:
    """The document that ``retrain`` printed to a file. Raises DataError for another."""
    try:
        result = json.loads(path.read_text())
        if not isinstance(result, dict) or not {"challenger", "champion", "promoted", "verdict"} <= result.keys():
            raise ValueError("another document")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: expected what `python -m training retrain` printed, got {system_words(error)}"
        ) from None
    return result


def cause(payload: str) -> str:
    """Markdown for the alert that started the run; empty when none did.

    ``payload`` was written by whoever may call GitHub's API: its texts are cut and escaped, and what cannot be read
    fails nothing, because the retrain is done by then.
    """
    if not payload:
        return ""
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        document = None
    fields = document if isinstance(document, dict) else {}
    texts = {name: fields[name] for name in CAUSE if isinstance(fields.get(name), str)}
    lines = [f"- {name.replace('_', ' ')}: {_escaped(text)}" for name, text in texts.items()]
    return "\n".join(["Started by an alert:\n", *lines]) if lines else "Started by an event that does not say why."


def _escaped(text: str) -> str:
    """One line of plain text: Markdown takes no mark of it as its own."""
    line = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", line[:MAX_CAUSE_TEXT])


def markdown(result: Mapping[str, Any], started_by: str = "") -> str:
    """Headline, what started it, metrics table with 95 % intervals, and every reason of the verdict."""
    verdict = result["verdict"]
    parts = [_headline(result), started_by, *_metrics(verdict["figures"]), _reasons(verdict["reasons"])]
    return "\n\n".join(filter(None, parts)) + "\n"


def _headline(result: Mapping[str, Any]) -> str:
    challenger, champion = result["challenger"], result["champion"]
    if result["promoted"]:
        return f"## Retraining: `{challenger}` promoted\n\nThe challenger passed the gate and is the champion now."
    if result.get("unchanged"):
        return f"## Retraining: unchanged\n\nThe same data and settings gave the champion `{champion}` again."
    if result.get("waits"):
        return f"## Retraining: `{challenger}` passed and waits for approval\n\n{_waits(result['waits'], champion)}"
    again = " (the same data and settings gave it before; nothing was published)" if result.get("judged_before") else ""
    stays = f"`{champion}` stays champion." if champion else "There is no champion yet, so there is nothing to ship."
    return f"## Retraining: `{challenger}` refused\n\nThe gate refused the challenger{again}. {stays}"


def _waits(waits: Mapping[str, str], champion: str | None) -> str:
    until = f"`{champion}` stays champion until then" if champion else "There is no champion until then"
    return f'{until}. Why: {waits["why"]}. To promote it:\n\n```sh\n{waits["approve"]} --reason "..."\n```'


def _metrics(figures: Mapping[str, Any]) -> list[str]:
    """No table when there was no fraud to judge by."""
    if "challenger" not in figures:
        return []
    judged = f"Judged on {figures['rows']} rows with {figures['frauds']} frauds; brackets are 95 % intervals."
    champion = figures.get("champion")
    rows = [
        (name.replace("_", " "), _interval(figures["challenger"][name]), _interval(champion[name] if champion else {}))
        for name in FIGURES
    ]
    return [judged, _table(("figure", "challenger", "champion before"), rows)]


def _interval(figure: Mapping[str, float | None]) -> str:
    value, low, high = (figure.get(name) for name in ("value", "low", "high"))
    if value is None:
        return "–"  # noqa: RUF001 - an en dash, as tables show an empty cell
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _reasons(reasons: Sequence[Mapping[str, Any]]) -> str:
    rows = [("ok" if reason["passed"] else "**REFUSED**", reason["rule"], reason["detail"]) for reason in reasons]
    return _table(("verdict", "rule", "detail"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
