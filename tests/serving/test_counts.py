"""BentoML's own metrics, fed by us: the same series and values as its middleware fills for the same calls."""

import asyncio
import math

import pytest
from bentoml._internal.context import server_context
from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary

from serving.bento import request_series
from serving.counts import BuiltinCounts

BUCKETS = (0.005, 0.01, 0.1, 1.0)


class Client:
    """The part of BentoML's PrometheusClient that its middleware uses, on a registry of the test's own."""

    def __init__(self, registry):
        for kind in (Counter, Gauge, Histogram, Summary):
            setattr(self, kind.__name__, lambda *args, kind=kind, **named: kind(*args, registry=registry, **named))


def made(path="/predict"):
    """A middleware on a registry of its own."""
    registry = CollectorRegistry()
    server_context.service_name, server_context.bento_name = "fraud_detector", "fraud_detector"
    server_context.bento_version, server_context.service_routes = "1", [path]
    server_context.worker_index = 1

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": scope["answer"], "headers": []})
        await send({"type": "http.response.body", "body": b""})

    middleware = RunnerTrafficMetricsMiddleware(app, namespace="bentoml_service")
    middleware._setup(metrics_client=Client(registry), duration_buckets=BUCKETS)
    names = ["runner_name", "worker_index", "method_name", "service_version", "service_name"]
    sizes = Histogram("batch_sizes", "x", names, registry=registry, buckets=(1, 2, 4, 8))
    return registry, middleware, sizes


def counts(middleware, sizes):
    """Ours, by what is found in an application and its factory."""
    around = type("Layer", (), {"app": type("Layer", (), {"app": middleware})()})()
    app = type("App", (), {"middleware_stack": around})()
    service = type("Service", (), {"name": "fraud_detector"})
    factory = type("Factory", (), {"adaptive_batch_size_hist": sizes, "service": service})
    return BuiltinCounts(request_series(factory, app, "/predict"))


def samples(registry, but=("_created", "timestamp_seconds", "_sum", "_bucket")):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith(but) and not sample.name.startswith("batch_sizes")
    }


def test_the_series_are_those_of_the_middleware():
    """Seven answered and two shed calls give the same names, labels and counts either way."""
    theirs, middleware, _ = made()

    async def send(_):
        pass

    for status in [200] * 7 + [503] * 2:
        scope = {"type": "http", "path": "/predict", "answer": status}
        asyncio.run(middleware(scope, None, send))
    ours, quiet, sizes = made()
    metrics = counts(quiet, sizes)
    for status in [200] * 7 + [503]:
        metrics.answered(status, 0.002)
    metrics.turned_away(1)
    metrics.flush()
    gauge = [key for key in samples(theirs) if "in_progress" in key[0]]
    assert gauge
    assert samples(ours) == samples(theirs)


def test_times_fall_into_bentomls_buckets():
    """Inclusive upper edges, and the sum of the seconds; nothing is handed over twice."""
    registry, middleware, sizes = made()
    metrics = counts(middleware, sizes)
    for seconds in (0.005, 0.0051, 0.5, 20.0):
        metrics.answered(200, seconds)
    for _ in range(3):
        metrics.flush()
    labels = {
        "endpoint": "/predict", "service_name": "fraud_detector", "service_version": "1",
        "http_response_code": "200", "runner_name": "fraud_detector",
    }  # fmt: skip

    def value(suffix, **more):
        return registry.get_sample_value(f"bentoml_service_request_duration_seconds_{suffix}", labels | more)

    assert [value("bucket", le=edge) for edge in ("0.005", "0.01", "0.1", "1.0", "+Inf")] == [1, 2, 2, 3, 4]
    assert value("sum") == pytest.approx(20.5101)
    assert registry.get_sample_value("bentoml_service_request_total", labels) == 4


def test_batches_are_counted_by_size():
    """One observation a batch."""
    registry, middleware, sizes = made()
    metrics = counts(middleware, sizes)
    for size in (1, 1, 3, 100):
        metrics.sized(size)
    metrics.flush()
    labels = {
        "runner_name": "fraud_detector", "worker_index": "1", "method_name": "predict",
        "service_version": "1", "service_name": "fraud_detector",
    }  # fmt: skip
    assert registry.get_sample_value("batch_sizes_count", labels) == 4
    assert registry.get_sample_value("batch_sizes_sum", labels) == 105
    assert registry.get_sample_value("batch_sizes_bucket", labels | {"le": "4.0"}) == 3


def test_the_gauge_of_calls_in_progress_adds_to_the_middlewares_own():
    """It moves by what changed since the last flush, so that calls on the other path stay counted."""
    registry, middleware, sizes = made()
    metrics = counts(middleware, sizes)
    labels = {
        "endpoint": "/predict", "service_name": "fraud_detector", "service_version": "1",
        "runner_name": "fraud_detector",
    }  # fmt: skip
    middleware.metrics_request_in_progress.labels(**labels).inc(2)  # on BentoML's path
    seen = []
    for now in (0, 5, 3, 0):
        metrics.in_progress = now
        metrics.flush()
        seen.append(registry.get_sample_value("bentoml_service_request_in_progress", labels))
    assert seen == [2, 7, 5, 2]


def test_without_the_middleware_there_is_an_error():
    """And so no short cut."""
    with pytest.raises(LookupError):
        request_series(None, type("App", (), {"middleware_stack": object()})(), "/predict")


def test_a_last_edge_is_open():
    """prometheus_client keeps the edge at infinity itself: it is not one of ours."""
    _, _, sizes = made()
    assert sizes._upper_bounds[-1] == math.inf, "prometheus_client keeps the upper edges elsewhere"
