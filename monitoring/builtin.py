"""BentoML's own metrics of one endpoint, for calls that its middleware does not see: counted together, once a second.

The same series with the same labels as BentoML's middleware and batcher fill. Names of BentoML's own are touched here;
``tests/monitoring/test_builtin.py`` names each.
"""

import time
from typing import Any

from bentoml._internal.context import server_context
from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
from prometheus_client import Counter, Gauge, Histogram

from monitoring.pending import Pending, edges, taken


class BuiltinMetrics:
    """Feeds the metrics of ``middleware`` for ``endpoint``, and ``batch_sizes``; ``flush`` hands its counts over."""

    def __init__(self, middleware: RunnerTrafficMetricsMiddleware, batch_sizes: Histogram, endpoint: str) -> None:
        if not middleware._is_setup:
            middleware._setup()
        self.in_progress = 0
        self._published = 0
        self._calls: dict[int, list[float]] = {200: [], 503: []}
        self._batches: list[int] = []
        self._batch_sizes = batch_sizes
        self._pending_sizes = Pending(edges(batch_sizes))
        context = {
            "service_name": server_context.bento_name,
            "service_version": server_context.bento_version,
            "runner_name": server_context.service_name,
        }
        named = {**context, "endpoint": endpoint}
        self._gauge: Gauge = middleware.metrics_request_in_progress.labels(**named)
        self._last: Gauge = middleware.metrics_last_request_timestamp.labels(**context)
        self._middleware = middleware
        self._labels = named
        self._series: dict[int, tuple[Counter, Histogram, Pending]] = {}

    def answered(self, status: int, seconds: float) -> None:
        """Count a call: 200 or 503, and how long it took."""
        self._calls[status].append(seconds)

    def sized(self, rows: int) -> None:
        """Count a batch."""
        self._batches.append(rows)

    def flush(self) -> None:
        """Hand over what was counted since the last time."""
        now = self.in_progress
        self._gauge.inc(now - self._published)
        self._published = now
        for status, seconds in self._calls.items():
            calls = taken(seconds)
            if calls:
                self._last.set(time.time())
                self._count(status, calls)
        if sizes := taken(self._batches):
            self._pending_sizes.add(sizes)
            self._pending_sizes.hand_over(self._batch_sizes)

    def _count(self, status: int, seconds: list[float]) -> None:
        if status not in self._series:  # as BentoML makes them: with the first call
            labels = {**self._labels, "http_response_code": status}
            duration = self._middleware.metrics_request_duration.labels(**labels)
            total = self._middleware.metrics_request_total.labels(**labels)
            self._series[status] = total, duration, Pending(edges(duration))
        total, duration, pending = self._series[status]
        total.inc(len(seconds))
        pending.add(seconds)
        pending.hand_over(duration)


def middleware_of(app: Any) -> RunnerTrafficMetricsMiddleware:  # noqa: ANN401 - Starlette's stack is untyped
    """BentoML's metrics middleware in a Starlette application that was called once. Raises LookupError."""
    layer = app.middleware_stack
    while layer is not None:
        if isinstance(layer, RunnerTrafficMetricsMiddleware):
            return layer
        layer = getattr(layer, "app", None)
    raise LookupError("BentoML's metrics middleware is not in the application")
