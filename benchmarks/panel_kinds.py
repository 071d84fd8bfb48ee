"""How benchmarks/panels.py draws each kind of panel."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.dates import AutoDateLocator, DateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.panel_data import Answer, Series

_COLOURS = {"green": "#3f9142", "yellow": "#c99700", "red": "#c0392b", "text": "#222222"}
_SUFFIX = {"reqps": "/s", "rowsps": " rows/s", "short": "", "none": ""}
_WORDS = 34
_LINES = 8


def formatted(value: float, unit: str) -> str:
    """A value as the panel's unit has it; an unknown unit is named, never left out."""
    if math.isnan(value):
        return "NaN"
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "dateTimeAsIso":
        return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    if unit in {"s", "dtdurations"}:
        return _seconds(value)
    shown = f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"
    return shown + _SUFFIX.get(unit, f" {unit}")


def _seconds(value: float) -> str:
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if abs(value) >= size:
            return f"{value / size:.3g} {name}"
    return f"{1000 * value:.3g} ms"


def titled(figure: Figure, answer: Answer, box: tuple[float, ...], line: float) -> None:
    """The frame of a panel with its title, and its data or "no data" inside."""
    left, bottom, width, height = box
    frame = figure.add_axes((left + 0.002, bottom + 0.15 * line, width - 0.004, height - 0.3 * line))
    frame.set(xticks=[], yticks=[])
    frame.spines[:].set_color("#cccccc")
    figure.text(
        left + 0.006, bottom + height - 0.75 * line, answer.panel["title"], fontsize=11, va="center", weight="bold"
    )
    axes = figure.add_axes((left + 0.035, bottom + 1.1 * line, width - 0.042, height - 2.5 * line))
    if answer.empty:
        axes.axis("off")
        axes.text(0.5, 0.5, _nothing(answer), ha="center", va="center", fontsize=13, color="#888888")
    else:
        KINDS[answer.panel["type"]](axes, answer)


def _nothing(answer: Answer) -> str:
    said = answer.panel["fieldConfig"]["defaults"].get("noValue", "no data")
    return "no data" if said == "no data" else f"no data ({said})"


def _unit(answer: Answer) -> str:
    unit: str = answer.panel["fieldConfig"]["defaults"].get("unit", "short")
    return unit


def _steps(answer: Answer) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = answer.panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    return steps


def _every(answer: Answer) -> list[Series]:
    return [one for series in answer.queries for one in series]


def _in_time(axes: Axes) -> None:
    axes.xaxis.set_major_locator(AutoDateLocator(minticks=3, maxticks=8))
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M", tz=UTC))
    axes.tick_params(labelsize=8)


def _moments(times: list[float]) -> list[datetime]:
    return [datetime.fromtimestamp(at, UTC) for at in times]


def lines(axes: Axes, answer: Answer) -> None:
    """Lines over time; bounds of an interval thin, thresholds dashed."""
    shown = _every(answer)
    stacked = answer.panel["fieldConfig"]["defaults"].get("custom", {}).get("stacking", {}).get("mode") == "normal"
    if stacked:
        _stack(axes, shown)
    else:
        for one in shown:
            bound = one.name.endswith((" low", " high"))
            axes.plot(
                _moments(one.times),
                one.values,
                lw=0.7 if bound else 1.6,
                color="#888888" if bound else None,
                label=None if bound else _short(one.name),
            )
    highest = max((value for one in shown for value in one.values if not math.isnan(value)), default=0.0)
    for step in _steps(answer):
        if step.get("value") is not None and step["value"] <= max(2 * highest, 1e-9):
            axes.axhline(step["value"], ls="--", lw=1, color=_COLOURS.get(step["color"], step["color"]))
    axes.set_ylim(bottom=-0.03 * (axes.get_ylim()[1] if highest else 1), top=None if highest else 1)  # 0 shows
    axes.yaxis.set_major_formatter(lambda value, _: formatted(value, _unit(answer)))
    axes.grid(alpha=0.3)
    _legend(axes, shown)
    _in_time(axes)


def _legend(axes: Axes, shown: list[Series]) -> None:
    """Series that are not 0 all the time come first; how many have no place is said."""
    busy = {_short(one.name) for one in shown if any(value and not math.isnan(value) for value in one.values)}
    entries = sorted(zip(*axes.get_legend_handles_labels(), strict=True), key=lambda entry: entry[1] not in busy)
    kept = entries[:_LINES]
    if len(entries) > len(kept):
        kept.append((Line2D([], [], ls=""), f"and {len(entries) - len(kept)} more"))
    if kept:
        handles, names = zip(*kept, strict=True)
        axes.legend(handles, names, fontsize=7, loc="best", framealpha=0.6)


def _stack(axes: Axes, shown: list[Series]) -> None:
    times = sorted({at for one in shown for at in one.times})
    table = np.zeros((len(shown), len(times)))
    for row, one in enumerate(shown):
        at = np.searchsorted(times, one.times)
        table[row, at] = np.nan_to_num(one.values)
    axes.stackplot(_moments(times), table, labels=[_short(one.name) for one in shown], alpha=0.7)


def numbers(axes: Axes, answer: Answer) -> None:
    """The figures, in the colour of the step they are on."""
    axes.axis("off")
    shown = _every(answer)[:4]
    for row, one in enumerate(shown):
        colour = "text"
        for step in _steps(answer):
            if step.get("value") is None or one.last >= step["value"]:
                colour = step["color"]
        height = 1 - (row + 0.5) / len(shown)
        text = formatted(one.last, _unit(answer))
        if len(shown) > 1:  # as in Grafana, one figure alone is not named
            text = f"{_short(one.name)}: {text}"
        size = 20 if len(shown) == 1 and len(text) < 20 else 12
        axes.text(0.5, height, text, ha="center", va="center", fontsize=size, color=_COLOURS.get(colour, colour))


def heat(axes: Axes, answer: Answer) -> None:
    """A line for each series; cumulative buckets (``le``) are made counts of their own first."""
    shown = _every(answer)
    buckets = "le" in shown[0].labels
    if buckets:
        shown = sorted(shown, key=lambda one: float(one.labels["le"]))
    else:
        shown = sorted(shown, key=lambda one: one.name, reverse=True)
    times = sorted({at for one in shown for at in one.times})
    table = np.full((len(shown), len(times)), np.nan)
    for row, one in enumerate(shown):
        table[row, np.searchsorted(times, one.times)] = one.values
    if buckets:
        table = np.diff(table, axis=0, prepend=0.0)
    colour = answer.panel["options"]["color"]
    fixed = "max" in colour
    kind = (
        {"cmap": "RdYlGn_r", "vmin": 0, "vmax": colour["max"]}
        if fixed
        else {"cmap": "Blues", "norm": PowerNorm(0.3, vmin=0, vmax=float(np.nanmax(table)) or 1.0)}
    )
    edges = [times[0] - (times[1] - times[0] if len(times) > 1 else 60), *times]
    mesh = axes.pcolormesh([date2num(one) for one in _moments(edges)], np.arange(len(shown) + 1), table, **kind)
    axes.figure.colorbar(mesh, ax=axes, pad=0.01).ax.tick_params(labelsize=7)
    axes.xaxis_date()
    _in_time(axes)
    axes.set_yticks(np.arange(len(shown)) + 0.5, [one.name for one in shown], fontsize=7)


def bars(axes: Axes, answer: Answer) -> None:
    """A group of bars for each ``bin``, worded as in the panel, a colour for each ``series``."""
    shown = _every(answer)
    [override] = [one for one in answer.panel["fieldConfig"]["overrides"] if one["matcher"]["options"] == "bin\\series"]
    words = override["properties"][0]["value"][0]["options"]
    names = sorted({one.labels["series"] for one in shown})
    for position, name in enumerate(names):
        own = {one.labels["bin"]: one.last for one in shown if one.labels["series"] == name}
        at = np.arange(len(words)) + (position - (len(names) - 1) / 2) * 0.8 / len(names)
        axes.bar(at, [own.get(number, 0.0) for number in words], 0.8 / len(names), label=name)
    axes.set_xticks(np.arange(len(words)), [word["text"] for word in words.values()], fontsize=7)
    axes.set_yscale("log")
    axes.set_ylim(1e-5, 1)
    axes.yaxis.set_major_formatter(lambda value, _: formatted(value, _unit(answer)))
    axes.legend(fontsize=8)
    axes.tick_params(labelsize=8)


def cells(axes: Axes, answer: Answer) -> None:
    """A row for each set of labels, a column for each label and each query that has a name."""
    [organize] = [one for one in answer.panel["transformations"] if one["id"] == "organize"]
    names = organize["options"]["renameByName"]
    many = len(answer.queries) > 1
    rows: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for number, series in enumerate(answer.queries):
        column = names.get(f"Value #{chr(65 + number)}" if many else "Value")
        for one in series:
            labels = {name: value for name, value in one.labels.items() if name != "__name__"}
            row = rows.setdefault(tuple(sorted(labels.items())), dict(labels))
            if column:
                row[column] = f"{one.last:.3f}" if one.last < 1 else f"{one.last:,.0f}"
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    texts = [[_short(row.get(name, "")) for name in columns] for row in list(rows.values())[:12]]
    axes.axis("off")
    table = axes.table(texts, colLabels=columns, loc="upper center", cellLoc="left")
    table.auto_set_font_size(False)
    table.set_fontsize(10)
    table.scale(1, 1.5)
    table.auto_set_column_width(list(range(len(columns))))


def _short(text: str) -> str:
    return text if len(text) <= _WORDS else text[: _WORDS - 1] + "…"


KINDS: dict[str, Callable[..., None]] = {
    "timeseries": lines,
    "stat": numbers,
    "heatmap": heat,
    "barchart": bars,
    "table": cells,
}
