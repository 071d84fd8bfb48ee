"""The short cut beside BentoML's own path: the same answers, headers and counts, and the same manners under stress."""

import json
import re
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.components import wait_until
from tests.e2e.conftest import REPOSITORY
from tests.e2e.test_records import transactions

pytestmark = pytest.mark.e2e

SAMPLE = json.loads((REPOSITORY / "sample_transaction.json").read_text())
OWN = ("date", "x-request-id")
"""Headers that differ from call to call."""


@pytest.fixture(scope="module")
def short(start):
    return start(FRAUD_MAX_LATENCY_MS="10", FRAUD_REQUEST_TIMEOUT_SECONDS="3")


@pytest.fixture(scope="module")
def stock(start):
    return start(FRAUD_SHORT_CUT="false", FRAUD_MAX_LATENCY_MS="10", FRAUD_REQUEST_TIMEOUT_SECONDS="3")


def calls():
    """Bodies and headers of every kind: good ones with and without id, and each way to be refused."""
    good = [(json.dumps(row).encode(), {}) for row in transactions(30)]
    good += [
        (json.dumps(row | {"transaction_id": f"t:{number}"}).encode(), {})
        for number, row in enumerate(transactions(10))
    ]
    bad = [b"", b"{", b"[]", b"null", json.dumps(SAMPLE | {"V1": "x"}).encode(), json.dumps(SAMPLE | {"x": 1}).encode()]
    bad += [
        b'{"V1": NaN}',
        json.dumps(SAMPLE).encode()[:-1] + b', "V1": 1}',
        json.dumps(SAMPLE).encode() + b" " * 20_000,
    ]
    odd = [
        {"content-type": "text/plain"},
        {"content-type": "application/json; charset=utf-8"},
        {"content-encoding": "gzip"},
    ]
    return good + [(body, {}) for body in bad] + [(json.dumps(SAMPLE).encode(), headers) for headers in odd]


def ask(server):
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        for body, headers in calls():
            answer = client.post("/predict", content=body, headers={"content-type": "application/json", **headers})
            kept = {name: value for name, value in answer.headers.items() if name not in OWN}
            yield answer.status_code, answer.content, kept, set(answer.headers)


def counted(server):
    """Every count of a call or batch on the metrics page, but for times and sizes of histograms."""
    text = httpx.get(f"{server.url}/metrics", trust_env=False).text
    found = re.findall(r"^((?:bentoml_service_request|fraud_prediction|bentoml_service_adaptive).+) (\S+)$", text, re.M)
    kept = ("_total{", "_duration_seconds_count{", "latency_seconds_count", "batch_size_sum{")
    return {name: float(value) for name, value in found if any(part in name for part in kept) and "predict" in name}


def test_both_paths_answer_and_count_alike(short, stock):
    """Status, body and headers of every call, then every counter: nothing tells which path was taken."""
    assert list(ask(short)) == list(ask(stock))
    total = 'endpoint="/predict",http_response_code="200"'
    wait_until(lambda: any(total in name and value == 41 for name, value in counted(short).items()))
    time.sleep(2)
    assert counted(short) == counted(stock)
    assert "takes BentoML's path" not in short.log()
    assert "/predict takes BentoML's path: FRAUD_SHORT_CUT is off" in stock.log()


def head(length, path="/predict", connection="close", more=""):
    """Up to the body of ``length`` bytes."""
    lines = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\nContent-Type: application/json\r\n"
    return f"{lines}{more}Content-Length: {length}\r\n\r\n".encode()


def sent(server, data):
    """A connection over which ``data`` was sent."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall(data)
    return connection


def raw(server, body, length=None, path="/predict"):
    return sent(server, head(length or len(body), path) + body)


def heard(connection):
    """The whole answer, until the server closes."""
    with connection, connection.makefile("rb") as answer:
        return answer.read()


@pytest.mark.parametrize("path", ["short", "stock"])
def test_calls_sent_without_waiting_are_answered_in_order(path, request):
    """HTTP pipelining: three calls in one packet, the last of them closes."""
    server, calls_sent = request.getfixturevalue(path), b""
    for number, connection in enumerate(("keep-alive", "keep-alive", "close")):
        body = json.dumps(SAMPLE | {"transaction_id": f"t-{number}"}).encode()
        calls_sent += head(len(body), connection=connection) + body
    answers = heard(sent(server, calls_sent))
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert re.findall(rb"t-\d", answers) == [b"t-0", b"t-1", b"t-2"]


@pytest.mark.parametrize("path", ["short", "stock"])
def test_a_caller_who_asks_first_is_told_to_go_on(path, request):
    """Expect: 100-continue, as curl sends it."""
    server, body = request.getfixturevalue(path), json.dumps(SAMPLE).encode()
    connection = sent(server, head(len(body), more="Expect: 100-continue\r\n"))
    assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(body)
    assert heard(connection).startswith(b"HTTP/1.1 200")


def test_a_slow_body_is_answered(short):
    """The rest comes two seconds after the head."""
    body = json.dumps(SAMPLE).encode()
    connection = raw(short, b"", len(body))
    time.sleep(2)
    connection.sendall(body)
    assert heard(connection).startswith(b"HTTP/1.1 200")


def test_a_body_that_never_comes_gets_504(short):
    """In our shape, by BentoML's own timeout, and counted as such."""
    answer = heard(raw(short, b"{", 600))
    assert answer.startswith(b"HTTP/1.1 504")
    assert b'"error"' in answer
    line = 'fraud_prediction_errors_total{reason="timeout"} 1.0'
    wait_until(lambda: line in httpx.get(f"{short.url}/metrics", trust_env=False).text)


def test_a_caller_who_hangs_up_is_counted(short):
    """Before the body was there: as disconnected, and nothing is logged."""
    raw(short, b"", 600).close()
    line = 'fraud_prediction_errors_total{reason="disconnected"} 1.0'
    wait_until(lambda: line in httpx.get(f"{short.url}/metrics", trust_env=False).text, seconds=10)
    assert "Traceback" not in short.log()


def burst(server, first):
    """Answers to 800 calls at once, more than can be answered in 10 ms. Of each call ``first`` bytes come before."""
    body = json.dumps(SAMPLE).encode()
    call = head(len(body)) + body
    connections = [sent(server, call[:first]) for _ in range(800)]
    for connection in connections:
        connection.sendall(call[first:])
    return [heard(connection) for connection in connections]


@pytest.fixture(scope="module")
def shed():
    """How many were, by server."""
    return Counter()


@pytest.mark.parametrize("path", ["short", "stock"])
@pytest.mark.parametrize("first", [0, len(head(len(json.dumps(SAMPLE))))], ids=["whole", "head first"])
def test_a_burst_beyond_the_latency_allowed_is_shed_at_once(first, path, request, shed):
    """Calls that would be answered after more than 10 ms get 503 with Retry-After, and every one is counted.

    How many of a burst that is depends on what the loop does first, so bursts come until some were shed. Calls that
    come whole are refused at the door, and counted in BentoML's own metrics too.
    """
    server, answers = request.getfixturevalue(path), []

    def seen():
        answers.extend(burst(server, first))
        return {answer[9:12] for answer in answers} == {b"200", b"503"}

    wait_until(seen, seconds=60)
    refused = [answer for answer in answers if answer[9:12] == b"503"]
    assert all(b"retry-after: 1\r\n" in answer and b"overloaded" in answer for answer in refused)
    shed[path] += len(refused)
    counted = [rf'fraud_prediction_errors_total{{reason="overloaded"}} {shed[path]}\.0']
    if path == "short":
        labels = 'endpoint="/predict",http_response_code="503",[^}]*'
        counted.append(rf"bentoml_service_request_total{{{labels}}} {shed[path]}\.0")
    wait_until(lambda: all(re.search(line, metrics_text(server)) for line in counted))


def metrics_text(server):
    return httpx.get(f"{server.url}/metrics", trust_env=False).text


def test_what_the_short_cut_would_leave_out_keeps_bentomls_path(start):
    """With a limit of concurrency in BentoML's configuration the log says why, and calls are answered all the same."""
    server = start(BENTOML_CONFIG_OPTIONS="services.fraud_detector.traffic.max_concurrency=8")
    assert httpx.post(f"{server.url}/predict", json=SAMPLE, trust_env=False).status_code == 200
    assert "/predict takes BentoML's path: traffic.max_concurrency is set" in server.log()


def test_without_batching_every_call_is_scored_alone(start):
    """The same scores from 16 callers at once, no batch is counted."""
    server = start(FRAUD_BATCHING="false")
    given = transactions(64)
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client, ThreadPoolExecutor(16) as pool:
        alone = list(pool.map(lambda row: client.post("/predict", json=row).json(), given))
        assert alone == client.post("/predict_batch", json={"transactions": given}).json()["predictions"]
        time.sleep(1.5)
        sizes = re.findall(r"^bentoml_service_adaptive_batch_size_count.* (\S+)$", client.get("/metrics").text, re.M)
        assert set(sizes) <= {"0.0"}
