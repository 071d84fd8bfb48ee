"""A picture of the dashboard's data without Grafana: every panel's queries, asked of a live Prometheus, and drawn.

python -m benchmarks.panels --prometheus http://localhost:9090 --output docs/dashboard.png --last 1h

It shows what the panels of monitoring/grafana/dashboards/fraud.json hold, in their places on the grid, with their
titles and units; it does not look like Grafana, and says so. A panel whose queries return nothing, or only NaN, says
"no data"; with --require-data the command then exits 1 and names those panels.
"""

import argparse
import re
import sys
import time
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.panel_data import Answer, Prometheus, answer
from benchmarks.panel_kinds import titled
from monitoring.grafana.queries import DASHBOARD, load, panels

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def draw(answers: list[Answer], rows: list[dict[str, Any]], heading: str, output: Path) -> None:
    """Draw all panels in their places."""
    places = [one["gridPos"] for one in [*rows, *(answer.panel for answer in answers)]]
    height = max(place["y"] + place["h"] for place in places)
    figure = Figure(figsize=(24, height * 0.42 + 0.8))
    top = height + 2
    figure.text(0.01, 1 - 0.8 / top, heading, fontsize=15, va="center", weight="bold")

    def box(place: dict[str, int]) -> tuple[float, float, float, float]:
        """Left, bottom, width and height as shares of the figure."""
        return place["x"] / 24, 1 - (place["y"] + place["h"] + 2) / top, place["w"] / 24, place["h"] / top

    for row in rows:
        left, bottom, _, tall = box(row["gridPos"])
        figure.text(left + 0.01, bottom + tall / 2, row["title"], fontsize=14, va="center", color="#1f4e79")
    for one in answers:
        titled(figure, one, box(one.panel["gridPos"]), 1 / top)
    figure.savefig(output, dpi=60, facecolor="white")


def main() -> None:
    """Ask, draw, and say what is empty."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", default="http://localhost:9090", help="URL (default %(default)s)")
    parser.add_argument("--output", type=Path, required=True, help="a .png, .svg or .pdf file")
    parser.add_argument("--dashboard", type=Path, default=DASHBOARD)
    parser.add_argument("--last", default="1h", metavar="TIME", type=_duration, help="how far back, such as 30m or 6h")
    parser.add_argument("--window", default="5m", help="the dashboard's variable (default %(default)s)")
    parser.add_argument("--model-version", default=".*", help="the dashboard's variable, a pattern (default all)")
    parser.add_argument("--require-data", action="store_true", help="exit 1 when a panel is empty")
    parser.add_argument("--may-be-empty", action="append", default=[], metavar="TITLE", help="not this one")
    given = parser.parse_args()
    document = load(given.dashboard)
    end = time.time()
    prometheus = Prometheus(given.prometheus, end, given.last)
    answers = [answer(panel, prometheus, given.window, given.model_version) for panel in panels(document)]
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(end))
    heading = (
        f"{document['title']}: the data of the dashboard's panels, drawn by benchmarks/panels.py, not by Grafana. "
        f"$window = {given.window}, {when}"
    )
    draw(answers, [panel for panel in document["panels"] if panel["type"] == "row"], heading, given.output)
    empty = [one.panel["title"] for one in answers if one.empty]
    print(f"{given.output}: {len(answers)} panels, {len(empty)} without data", file=sys.stderr)
    for title in empty:
        print(f"no data: {title}", file=sys.stderr)
    if given.require_data and set(empty) - set(given.may_be_empty):
        sys.exit(1)


def _duration(text: str) -> float:
    found = re.fullmatch(r"(\d+)([smhd])", text)
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError(f"expected a time such as 30m, 6h or 1d, got {text!r}")
    return float(int(found[1]) * _UNITS[found[2]])


if __name__ == "__main__":
    main()
