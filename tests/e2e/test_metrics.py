"""What /metrics says is what happened, over two workers, and a real Prometheus reads it."""

import json
import os
import signal
import socket
import time
from math import isnan, nan

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitoring.metrics import REASONS, TICK_SECONDS
from serving.remembered import LASTS_SECONDS
from tests.components import BentoServer, free_port, wait_until
from tests.e2e.conftest import REPOSITORY, serve_command
from tests.ulb import COLUMNS
from training import sample

pytestmark = pytest.mark.e2e

SAMPLE = json.loads((REPOSITORY / "sample_transaction.json").read_text())
WINDOW_SECONDS = 20


@pytest.fixture
def fresh(store, tmp_path):
    """A two-worker server that has not been called yet."""
    own, port = store.copy(tmp_path / "home"), free_port()
    env = {**own.env, "FRAUD_WORKERS": "2", "FRAUD_RATE_WINDOW_SECONDS": str(WINDOW_SECONDS)}
    with (
        BentoServer(serve_command(port), env, REPOSITORY, port, tmp_path) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client,
    ):
        wait_until(lambda: read(client)["fraud_workers_ready"] == 2)
        yield server, client


def read(client):
    """Each sample of /metrics by its name, or by name and the label that tells it apart."""
    values = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for one in family.samples:
            told = [one.labels[label] for label in ("decision", "reason", "le") if label in one.labels]
            values[(one.name, *told) if told else one.name] = one.value
    return values


def transactions(count):
    frame = sample.generate(2000, seed=4, fraud_share=0.2)[list(COLUMNS)].iloc[:count]
    return [dict(zip(COLUMNS, row, strict=True)) for row in frame.to_numpy().tolist()]


def fresh_text(client):
    """The metrics, made after now."""
    time.sleep(LASTS_SECONDS["/metrics"] + 0.2)
    return client.get("/metrics").text


def settled(client, *, scored, rate):
    """The values once the window of both workers says so."""
    values = read(client)
    same = values["fraud_rate"] == rate or (isnan(values["fraud_rate"]) and isnan(rate))
    return values["fraud_window_scored"] == scored and same and values


def both_ready(client):
    """The values once two workers are ready; a connection to a worker that was killed is reset."""
    try:
        values = read(client)
    except httpx.TransportError:
        return None
    return values["fraud_workers_ready"] == 2 and values


def test_counts_and_fraud_rate_are_exact_over_two_workers(fresh):
    """A known mix through both endpoints is counted exactly, also after a worker was killed; the window empties."""
    server, client = fresh
    given = transactions(300)
    answers = []
    for row in given[:100]:  # a connection each, so that both workers get some
        answers.append(httpx.post(f"{server.url}/predict", json=row, trust_env=False).json())
    for start in range(100, 300, 50):
        batch = {"transactions": given[start : start + 50]}
        answers += httpx.post(f"{server.url}/predict_batch", json=batch, trust_env=False).json()["predictions"]
    flagged = sum(answer["is_fraud"] for answer in answers)
    amount = sum(row["Amount"] for row, answer in zip(given, answers, strict=True) if answer["is_fraud"])
    assert 0 < flagged < 300
    values = wait_until(lambda: settled(client, scored=300, rate=flagged / 300), seconds=WINDOW_SECONDS)
    assert values["fraud_predictions_total", "fraud"] == flagged
    assert values["fraud_predictions_total", "legitimate"] == 300 - flagged
    assert values["fraud_score_count"] == 300
    assert values["fraud_prediction_latency_seconds_count"] == 104
    assert values["fraud_flagged_amount_total"] == pytest.approx(amount)
    assert (values["fraud_window_scored"], values["fraud_window_flagged"]) == (300, flagged)
    assert values["fraud_rate"] == flagged / 300
    assert values["fraud_score_sum"] == pytest.approx(sum(answer["fraud_probability"] for answer in answers))

    os.kill(server.worker_pids()[0], signal.SIGKILL)
    values = wait_until(lambda: both_ready(client), seconds=30)
    assert values["fraud_predictions_total", "fraud"] == flagged
    wait_until(lambda: settled(client, scored=0, rate=nan), seconds=WINDOW_SECONDS + 10)
    client.post("/predict_batch", json={"transactions": given[:10]})
    expected = sum(answer["is_fraud"] for answer in answers[:10]) / 10
    wait_until(lambda: settled(client, scored=10, rate=expected))


def test_each_kind_of_error_is_counted_by_its_reason(fresh):
    """One bad call of a kind, one count of its reason, and of no other."""
    _, client = fresh
    text = {"content-type": "application/json"}
    kinds = {
        "malformed": lambda: client.post("/predict", content=b"{", headers=text),
        "invalid": lambda: client.post("/predict", json=SAMPLE | {"V1": "x"}),
        "too_large": lambda: client.post("/predict", json=SAMPLE | {"x": "y" * 20_000}),
        "not_json": lambda: client.post("/predict", data={"Time": "1"}),
        "method": lambda: client.get("/predict_batch"),
    }
    for call in kinds.values():
        call()
    time.sleep(TICK_SECONDS + LASTS_SECONDS["/metrics"] + 0.3)
    values = read(client)
    assert {reason: values["fraud_prediction_errors_total", reason] for reason in REASONS} == {
        reason: float(reason in kinds) for reason in REASONS
    }
    assert values["fraud_predictions_total", "legitimate"] == 0


def test_a_thousand_unknown_paths_add_no_series(fresh):
    """After one unknown path, a thousand random ones leave the number of series as it is."""
    server, client = fresh
    for _ in range(20):  # both workers have seen one
        assert httpx.get(f"{server.url}/first", trust_env=False).status_code == 404
    before = len(fresh_text(client).splitlines())
    for number in range(1000):
        client.get(f"/path-{number}/{number * 7919}")
    assert len(fresh_text(client).splitlines()) == before


def shake_hands(port, path):
    """The status that a web socket's handshake is answered with."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        with connection.makefile("rb") as answer:
            return int(answer.readline().split()[1])


def test_web_sockets_are_refused_and_add_no_series(fresh):
    """Handshakes to random paths are answered as other calls of them are, and leave the number of series as it is."""
    server, client = fresh
    for _ in range(20):  # both workers have been asked for their metrics, and for a path that is not there
        httpx.get(f"{server.url}/metrics", trust_env=False).raise_for_status()
        httpx.get(f"{server.url}/first", trust_env=False)
    before = len(fresh_text(client).splitlines())
    assert {shake_hands(server.port, f"/socket-{number}/{number * 7919}") for number in range(20)} == {404}
    assert len(fresh_text(client).splitlines()) == before


def test_prometheus_reads_the_fraud_gauges(server, prometheus, store):
    """With the shipped scrape configuration the target is up and the gauges can be queried."""
    wait_until(lambda: prometheus.query('up{job="fraud-detector"} == 1'), seconds=20)
    httpx.post(f"{server.url}/predict", json=SAMPLE, trust_env=False).raise_for_status()
    [info] = wait_until(lambda: prometheus.query("fraud_model_info"))
    assert info["metric"]["model_version"] == store.version
    assert info["metric"]["synthetic"] == "true"
    [rate] = wait_until(lambda: prometheus.query("fraud_rate >= 0"))
    assert 0 <= float(rate["value"][1]) <= 1
    [threshold] = prometheus.query("fraud_threshold")
    assert float(threshold["value"][1]) == store.result["threshold"]
    scored = wait_until(lambda: prometheus.query("sum(fraud_predictions_total) > 0"))
    assert float(scored[0]["value"][1]) >= 1
    bins = prometheus.query('sum by (feature) (fraud_feature_reference_ratio{feature="V14"})')
    assert float(bins[0]["value"][1]) == pytest.approx(1)
