"""A picture of the dashboard's data: every panel's queries, asked of a live Prometheus, and plainly drawn.

python -m benchmarks.panels --prometheus http://localhost:9090 --output docs/dashboard.png --last 1h

It shows what the panels of monitoring/grafana/dashboards/fraud.json hold, under their titles and units: lines over
time, or figures for what is asked for now alone. It does not look like Grafana, and says so. A panel whose queries
return nothing, or only NaN, says "no data"; with --require-data the command then exits 1.
"""

import argparse
import math
import re
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fraud.argument_types import duration
from monitoring.grafana.queries import filled, load, panels

COLUMNS, POINTS, MOST_NAMES = 5, 240, 9
Series = tuple[str, list[float], list[float]]
"""Name, minutes from now, values."""


def main() -> None:
    """Ask, draw, and say what is empty."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", default="http://localhost:9090", help="URL (default %(default)s)")
    parser.add_argument("--output", type=Path, required=True, help="a .png, .svg or .pdf file")
    parser.add_argument("--last", default="1h", metavar="TIME", type=duration, help="how far back, such as 30m or 6h")
    parser.add_argument("--require-data", action="store_true", help="exit 1 when a panel is empty")
    arguments = parser.parse_args()
    now = time.time()
    with httpx.Client(base_url=arguments.prometheus, timeout=30, trust_env=False) as prometheus:
        drawn = [(panel, series(prometheus, panel, now, arguments.last)) for panel in panels(load())]
    draw(drawn, arguments.output)
    empty = [panel["title"] for panel, lines in drawn if not lines]
    print(f"{arguments.output}: {len(drawn)} panels, {len(empty)} without data", file=sys.stderr)
    for title in empty:
        print(f"no data: {title}", file=sys.stderr)
    sys.exit(bool(empty and arguments.require_data))


def series(prometheus: httpx.Client, panel: dict[str, Any], now: float, seconds: float) -> list[Series]:
    """What a panel's queries return for now or for the last ``seconds``; a series without any number is left out."""
    lines = []
    for target in panel["targets"]:
        instant = target.get("instant", False)
        step = max(seconds / POINTS, 1.0)
        when = {"time": now} if instant else {"start": now - seconds, "end": now, "step": step}
        results = _result(prometheus, "query" if instant else "query_range", filled(target["expr"]), when)
        legend = "" if instant and len(results) > 1 else filled(target.get("legendFormat", ""))  # a table has none
        for one in results:
            times, values = zip(*(one.get("values") or [one["value"]]), strict=True)
            line = (_name(one["metric"], legend), [(at - now) / 60 for at in times], [float(text) for text in values])
            lines += [] if all(map(math.isnan, line[2])) else [line]
    return lines


def _result(prometheus: httpx.Client, kind: str, expr: str, when: dict[str, float]) -> list[dict[str, Any]]:
    try:
        answer = prometheus.post(f"/api/v1/{kind}", data={"query": expr, **when}).json()
    except (httpx.HTTPError, ValueError) as error:
        sys.exit(f"error: {prometheus.base_url} does not answer as Prometheus does: {error}")
    if answer["status"] != "success":
        sys.exit(f"error: {expr}: {answer['error']}")
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def _name(labels: dict[str, str], legend: str) -> str:
    all_values = ", ".join(value for label, value in labels.items() if label != "__name__")
    named = re.sub(r"\{\{(\w+)\}\}", lambda part: labels.get(part[1], ""), legend.replace("__auto", ""))
    return named.strip() or all_values


def draw(drawn: list[tuple[dict[str, Any], list[Series]]], output: Path) -> None:
    """One small plot for each panel."""
    rows = math.ceil(len(drawn) / COLUMNS)
    figure = Figure(figsize=(4 * COLUMNS, 2.2 * rows), layout="constrained")
    figure.suptitle(
        "What the dashboard's panels hold, drawn by benchmarks/panels.py: not a picture of Grafana. "
        f"Lines over minutes before {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, figures of that moment"
    )
    axes = figure.subplots(rows, COLUMNS).flatten()
    for axis in axes:
        axis.axis("off")
    for axis, (panel, lines) in zip(axes, drawn, strict=False):
        unit = panel["fieldConfig"]["defaults"].get("unit", "short")
        unit = "" if unit in {"none", "short"} else f" [{unit}]"
        axis.set_title(panel["title"] + unit, fontsize=10, weight="bold")
        _plot(axis, lines)
    figure.savefig(output, dpi=70)


def _plot(axis: Axes, lines: list[Series]) -> None:
    if all(len(values) == 1 for _, _, values in lines):
        texts = [f"{name[:40]}: {_number(values[0])}" for name, _, values in lines[:MOST_NAMES]] or ["no data"]
        texts += [f"and {len(lines) - MOST_NAMES} more"] if len(lines) > MOST_NAMES else []
        axis.text(0.5, 0.5, "\n".join(texts), ha="center", va="center", fontsize=14 if len(texts) < 3 else 8)
        return
    axis.axis("on")
    axis.tick_params(labelsize=7)
    for name, times, values in lines:
        axis.plot(times, values, label=name[:40])
    if len(lines) <= MOST_NAMES:
        axis.legend(fontsize=6, loc="upper left")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    main()
