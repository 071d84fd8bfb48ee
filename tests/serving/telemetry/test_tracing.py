"""Spans of calls bear what a caller needs; and an end does not wait for a collector that takes nothing."""

import re
import threading
from pathlib import Path

import pytest
import yaml
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from serving.telemetry import request_id, tracing


@pytest.fixture
def provider():
    made = TracerProvider(shutdown_on_exit=False)
    yield made
    made.shutdown()


def test_the_span_of_a_call_bears_route_id_and_model(provider):
    """Those inside it do not, and what is described later is there at its end."""
    spans = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    tracing.start(provider, "v1")
    tracer, token = provider.get_tracer("test"), request_id.current.set("id-1")
    try:
        with tracer.start_as_current_span("call", kind=SpanKind.SERVER, attributes={"http.target": "/predict"}):
            tracing.describe(rows=3)
            with tracer.start_as_current_span("inside"):
                assert tracing.span_ids().keys() == {"trace_id", "span_id"}
    finally:
        request_id.current.reset(token)
    inside, call = spans.get_finished_spans()
    assert not inside.attributes
    facts = {"http.route": "/predict", "fraud.request_id": "id-1", "fraud.model_version": "v1", "fraud.rows": 3}
    assert facts.items() <= dict(call.attributes).items()


def test_outside_of_a_span_nothing_is_described():
    """As on a path where tracing is off."""
    tracing.describe(rows=3)
    assert tracing.span_ids() == {}


def test_where_tracing_is_off_there_is_nothing_to_do():
    """No provider."""
    tracing.start(None, "v1")
    tracing.close(None)


def test_an_end_waits_for_no_collector(monkeypatch):
    """One that never answers is left alone after a while."""
    monkeypatch.setattr(tracing, "DRAIN_SECONDS", 0.01)
    answered = threading.Event()

    class Stuck:
        def shutdown(self):
            answered.wait(60)

    tracing.close(Stuck())
    assert not answered.is_set()
    answered.set()


def test_the_document_shows_the_configuration_that_ships():
    """Which the tests of the running service use."""
    root = Path(__file__).parents[3]
    [shown] = re.findall(r"```yaml\n(.+?)```", (root / "docs" / "tracing.md").read_text(), re.S)
    assert yaml.safe_load(shown) == yaml.safe_load((root / "deploy" / "tracing.yaml").read_text())
