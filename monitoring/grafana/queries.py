"""Reads the dashboard's file: its panels, and their queries with the variables filled in. For tests and pictures."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).with_name("dashboards") / "fraud.json"


@dataclass(frozen=True)
class PanelQuery:
    """One query of a panel; ``instant``: it is asked for now, not over a time."""

    panel: str
    expr: str
    legend: str
    instant: bool


def load(path: Path = DASHBOARD) -> dict[str, Any]:
    """The dashboard's document."""
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def panels(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel that shows something: rows are left out, but not what they hold."""
    for panel in document["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", ())
        else:
            yield panel


def queries(document: dict[str, Any]) -> list[PanelQuery]:
    """Every query of every panel, with its variables."""
    return [
        PanelQuery(panel["title"], target["expr"], target.get("legendFormat", ""), target.get("instant", False))
        for panel in panels(document)
        for target in panel["targets"]
    ]


APART = ("namespace", "environment", "cluster")
"""Labels of a scrape that tell the services of one Prometheus apart; each is a variable, and kept by every query."""
_SERIES = re.compile(r"\b((?:fraud[_:]|bentoml_)[\w:]+|up|ALERTS)\b(?:\{([^}]*)\})?(?!\()")
_MERGED = re.compile(r"\b(sum|min|max|count)(?: by \(([^)]*)\))? ?\(")


def of_chosen(expr: str) -> str:
    """``expr`` of the services that are chosen in the dashboard alone."""
    chosen = [f'{name}=~"${name}"' for name in APART]
    return _SERIES.sub(lambda one: f"{one[1]}{{{', '.join([*filter(None, [one[2]]), *chosen])}}}", expr)


def kept_apart(expr: str) -> str:
    """``expr`` with each aggregation done for every service by itself."""
    return _MERGED.sub(lambda one: f"{one[1]} by ({', '.join([*APART, *filter(None, [one[2]])])}) (", expr)


def filled(text: str, window: str = "5m", model_version: str = ".*") -> str:
    """``text`` as Prometheus gets it when these are chosen in the dashboard."""
    chosen = {"window": window, "model_version": model_version} | dict.fromkeys(APART, ".*")
    return re.sub(rf"\$({'|'.join(chosen)})\b", lambda match: chosen[match[1]], text)
