"""The live figures of a service, as /metrics has them, and how they are shown."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

FIGURES = ("precision", "recall")
OUTCOMES = ("true_positive", "false_positive", "false_negative", "true_negative")

History = list[tuple[float, dict[str, dict[str, float]]]]


def live(client: httpx.Client, version: str) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    """Figures and counts of the model as /metrics has them."""
    figures: dict[str, dict[str, float]] = {figure: {} for figure in FIGURES}
    counts = dict.fromkeys(OUTCOMES, 0)
    for sample in samples(client):
        if sample.labels.get("model_version") != version:
            continue
        if sample.name == "fraud_live_quality":
            figures[sample.labels["figure"]][sample.labels["bound"]] = sample.value
        elif sample.name == "fraud_live_transactions":
            counts[sample.labels["outcome"]] = int(sample.value)
    return figures, counts


def label_delay(client: httpx.Client) -> float:
    """Seconds after which the service judges a prediction; 0 while it does not say."""
    return max((one.value for one in samples(client) if one.name == "fraud_label_delay_seconds"), default=0.0)


def samples(client: httpx.Client) -> Iterator[Sample]:
    """All that /metrics has."""
    for family in text_string_to_metric_families(client.get("/metrics").raise_for_status().text):
        yield from family.samples


def summary(figures: dict[str, dict[str, float]]) -> str:
    """One line for people."""
    shown = (
        f"{name} {bounds['value']:.3f} [{bounds['low']:.3f}, {bounds['high']:.3f}]"
        for name, bounds in figures.items()
        if bounds
    )
    return "  ".join(shown) or "nothing is old enough yet"


def plot(history: History, offline: dict[str, float], target: Path) -> None:
    """Live figures over time with their intervals, and the offline ones as lines."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.5), sharey=True, layout="constrained")
    for axis, name in zip(axes, FIGURES, strict=True):
        points: list[tuple[float, dict[str, Any]]] = [(at, figures[name]) for at, figures in history if figures[name]]
        times = [at for at, _ in points]
        low, value, high = ([bounds[bound] for _, bounds in points] for bound in ("low", "value", "high"))
        axis.fill_between(times, low, high, alpha=0.2, label="95 % interval")
        axis.plot(times, value, label="live")
        axis.axhline(offline[name], color="black", linestyle="--", linewidth=1, label="offline")
        axis.set(title=name, xlabel="seconds of replay", ylim=(0, 1.02))
        axis.grid(alpha=0.3)
    axes[1].legend(loc="lower right")
    figure.savefig(target, dpi=110)
