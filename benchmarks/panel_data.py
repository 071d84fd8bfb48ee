"""What benchmarks/panels.py draws: the answers of a Prometheus to the queries of a panel."""

import math
import re
import sys
from dataclasses import dataclass, field
from typing import Any

import httpx

from monitoring.grafana.queries import filled

POINTS = 240


@dataclass(frozen=True)
class Series:
    """One series of an answer: its labels, its name in the legend, its times (seconds since 1970) and values."""

    labels: dict[str, str]
    name: str
    times: list[float]
    values: list[float]

    @property
    def last(self) -> float:
        """The newest value that is a number."""
        return next(value for value in reversed(self.values) if not math.isnan(value))


@dataclass(frozen=True)
class Answer:
    """A panel and, for each of its queries, the series that hold at least one number."""

    panel: dict[str, Any]
    queries: list[list[Series]] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(self.queries)


class Prometheus:
    """The part of Prometheus' API that a dashboard needs. Raises SystemExit when it refuses a query."""

    def __init__(self, url: str, end: float, seconds: float) -> None:
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)
        self._end, self._seconds = end, seconds

    def ask(self, expr: str, *, instant: bool) -> list[dict[str, Any]]:
        """The result for the end of the time, or for all of it."""
        start, step = self._end - self._seconds, max(self._seconds / POINTS, 1.0)
        span = {"time": self._end} if instant else {"start": start, "end": self._end, "step": step}
        path = "/api/v1/query" if instant else "/api/v1/query_range"
        try:
            answer = self._client.post(path, data={"query": expr, **span}).json()
        except (httpx.HTTPError, ValueError) as error:
            sys.exit(f"error: {self._client.base_url} does not answer as Prometheus does: {error}")
        if answer["status"] != "success":
            sys.exit(f"error: {expr}: {answer['error']}")
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result


def answer(panel: dict[str, Any], prometheus: Prometheus, window: str, model_version: str) -> Answer:
    """Ask what a panel asks."""
    found = Answer(panel)
    for target in panel["targets"]:
        result = prometheus.ask(filled(target["expr"], window, model_version), instant=target.get("instant", False))
        legend = filled(target.get("legendFormat", ""), window, model_version)
        every = [_series(one, legend) for one in result]
        found.queries.append([one for one in every if not all(map(math.isnan, one.values))])
    return found


def _series(result: dict[str, Any], legend: str) -> Series:
    labels = result["metric"]
    points = result.get("values") or [result["value"]]
    name = re.sub(r"\{\{(\w+)\}\}", lambda label: labels.get(label[1], ""), legend)
    if legend in {"", "__auto"}:
        name = ", ".join(value for key, value in labels.items() if key != "__name__")
    return Series(labels, name, [float(at) for at, _ in points], [float(value) for _, value in points])
