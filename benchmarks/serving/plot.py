"""The picture beside the tables: CPU a request and requests per second, one bar a load."""

import math
from pathlib import Path
from typing import Any

from benchmarks.serving.load import STEADY
from benchmarks.serving.results import Results, median, of

_PANELS = (
    ("cpu_ms", "CPU-ms a request (log scale, less is better)"),
    ("requests_per_second", "requests a second (log scale)"),
)


def plot(results: Results, path: Path) -> None:
    """Draw and save."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    ran = [c for c in results["contestants"] if c["name"] not in results["not_run"]]
    figure, axes = pyplot.subplots(1, 2, figsize=(14, 1.5 + 0.5 * len(ran)), sharey=True, layout="constrained")
    for axis, (key, title) in zip(axes, _PANELS, strict=True):
        _panel(axis, results, ran, key)
        axis.set_title(title)
    axes[0].set_yticks(range(len(ran)), [f"{c['title']} ({c['workers']})" for c in ran], fontsize=8)
    axes[0].invert_yaxis()
    axes[1].legend(title="callers", fontsize=8)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def _panel(axis: Any, results: Results, ran: list[Any], key: str) -> None:  # noqa: ANN401 - matplotlib's axes
    loads = [load for load in results["loads"] if load != STEADY]
    height = 0.8 / max(1, len(loads))
    for position, load in enumerate(loads):
        values = [median(of(results, contestant["name"], load), key) for contestant in ran]
        places = [row - 0.4 + height * (position + 0.5) for row in range(len(ran))]
        axis.barh(places, values, height, label=load)
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    axis.set_xlim(10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high)))
    axis.xaxis.set_major_formatter("{x:,g}")
    axis.xaxis.set_minor_formatter("")
    axis.grid(axis="x", alpha=0.3)
