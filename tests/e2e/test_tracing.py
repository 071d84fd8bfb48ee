"""Tracing switched on: each call's span reaches a collector; without one, calls and the log go on as ever."""

import json
import os
import re
import signal
import socket
import subprocess

import httpx
import pytest

from tests.components import Collector, free_port, wait_until
from tests.e2e.conftest import REPOSITORY, serve_command

pytestmark = pytest.mark.e2e

SAMPLE = json.loads((REPOSITORY / "sample_transaction.json").read_text())
CONFIG = str(REPOSITORY / "deploy" / "tracing.yaml")
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(scope="module")
def collector():
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(start, collector):
    return start(BENTOML_CONFIG=CONFIG, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, FRAUD_WORKERS="2")


def span_of(collector, request_id):
    """The span of the call with this id, when it has come."""
    found = wait_until(lambda: [s for s in collector.calls() if s.get("fraud.request_id") == request_id], seconds=30)
    assert len(found) == 1
    return found[0]


def post(server, path, body, request_id, flags="01"):
    headers = {"x-request-id": request_id, "traceparent": f"00-{TRACE}-{PARENT}-{flags}"}
    return httpx.post(f"{server.url}{path}", json=body, headers=headers, trust_env=False, timeout=30)


def test_a_call_goes_on_with_its_callers_trace(traced, collector, store):
    """Its span says route, status, request id, model version and number of rows, below the caller's own span."""
    assert post(traced, "/predict", SAMPLE, "one").headers["x-request-id"] == "one"
    span = span_of(collector, "one")
    assert (span["trace"], span["parent"], span["name"]) == (TRACE, PARENT, "POST /predict")
    assert (span["http.route"], span["http.status_code"]) == ("/predict", 200)
    assert (span["fraud.model_version"], span["fraud.rows"]) == (store.version, 1)


def test_a_batch_is_one_span(traced, collector):
    """With the number of its rows."""
    assert post(traced, "/predict_batch", {"transactions": [SAMPLE] * 7}, "many").status_code == 200
    assert span_of(collector, "many")["fraud.rows"] == 7


def test_the_span_of_a_refused_call_says_why(traced, collector):
    """Its status and the reason that the metric has; it has no rows."""
    assert post(traced, "/predict", {}, "bad").status_code == 400
    span = span_of(collector, "bad")
    assert (span["http.status_code"], span["fraud.refused"]) == (400, "invalid")
    assert "fraud.rows" not in span


def test_what_the_caller_does_not_trace_is_not_sent(traced, collector):
    """Its traceparent says so; nor are probes, which nobody asks about."""
    assert post(traced, "/predict", SAMPLE, "untraced", flags="00").status_code == 200
    for path in ("/livez", "/readyz", "/metrics"):
        assert httpx.get(f"{traced.url}{path}", trust_env=False).status_code == 200
    post(traced, "/predict", SAMPLE, "after")
    span_of(collector, "after")
    assert "untraced" not in {span.get("fraud.request_id") for span in collector.spans}
    assert {span["http.route"] for span in collector.calls()} <= {"/predict", "/predict_batch"}


def test_the_log_says_which_way_calls_take(traced):
    """BentoML's own makes the spans."""
    assert "/predict takes BentoML's path: tracing is on" in traced.log()


@pytest.fixture
def deaf():
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("kind", ["away", "deaf"])
def test_a_collector_that_takes_nothing_costs_no_call(start, deaf, kind):
    """Calls are answered, more than its queue holds; few lines in the log say so; SIGTERM ends the service soon."""
    port = {"away": free_port(), "deaf": deaf}[kind]
    server = start(BENTOML_CONFIG=CONFIG, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    with httpx.Client(base_url=server.url, trust_env=False, timeout=5) as client:
        for _ in range(1500):
            client.post("/predict", json=SAMPLE).raise_for_status()
    lines = [line for line in server.log().splitlines() if "export" in line or "Queue full" in line]
    assert len(lines) <= 3
    os.kill(server.pid, signal.SIGTERM)
    wait_until(lambda: server.exit_code is not None, seconds=15)
    assert server.exit_code == 0


@pytest.mark.parametrize(
    ("tracing", "named"),
    [
        ({"exporter_type": "zipkin", "zipkin": {"endpoint": "http://x/"}}, "is zipkin,"),
        ({"exporter_type": "jaeger", "jaeger": {"protocol": "thrift"}}, "is jaeger with protocol thrift,"),
        ({"exporter_type": "otlp", "otlp": {"protocol": "grpc"}}, "is otlp with protocol grpc,"),
        ({"exporter_type": "otlp"}, "is otlp,"),
        ({"exporter_type": "in_memory"}, "is in_memory,"),
    ],
)
def test_an_exporter_that_is_not_there_ends_the_start(store, tmp_path, tracing, named):
    """One line and exit code 1, before a worker is started: they would end one after another."""
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"services": {"tracing": tracing}}))
    env = {**store.copy(tmp_path / "home").env, "BENTOML_CONFIG": str(config)}
    done = subprocess.run(
        serve_command(free_port()), env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert re.search(rf"^error: tracing\.exporter_type of BENTOML_CONFIG {named} .+deploy/tracing\.yaml$", line)
    assert "[worker" not in done.stdout
