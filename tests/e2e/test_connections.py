"""What comes over a wire to the real server: callers of every make are answered, attackers are not waited for."""

import http.client
import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from urllib.parse import urlsplit

import httpx
import pytest

from tests.components import wait_until
from tests.e2e.conftest import REPOSITORY

pytestmark = pytest.mark.e2e

SAMPLE = json.loads((REPOSITORY / "sample_transaction.json").read_text())
BODY = json.dumps(SAMPLE).encode()
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def one(start):
    """A server of one worker, which every call therefore meets."""
    return start(FRAUD_WORKERS="1")


def said(server, sent, parts=1):
    """All that is answered to some bytes until the server ends the connection."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        for start in range(0, len(sent), len(sent) // parts):
            connection.sendall(sent[start : start + len(sent) // parts])
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    return answer


def post(server, body, **headers):
    return httpx.post(f"{server.url}/predict", content=body, headers={**JSON, **headers}, trust_env=False, timeout=30)


def counted(server, series):
    """The value of a series in ``/metrics``."""
    text = httpx.get(f"{server.url}/metrics", trust_env=False, timeout=30).text
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.M)
    return float(found[1]) if found else None


@pytest.mark.parametrize("parts", [1, 40])
def test_a_call_that_offers_http_2_is_scored(one, parts):
    """As Java's HttpClient, Ktor and ``curl --http2`` send it; whole, and in many packets."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
    call = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b"
    last = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = said(one, call % (offer, len(BODY), BODY) + last, parts)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"fraud_probability":' in answer
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 4_000_000, b"431"),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 100_000, b"431"),
        (b"GET /" + b"a" * 4_000_000, b"414"),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 4, b"400"),
    ],
    ids=["a long header", "many headers", "a long path", "two hosts", "TLS"],
)
def test_what_is_beyond_the_bounds_is_refused_with_a_word_and_counted(one, sent, status):
    """The caller reads why, though it was still sending."""
    reason = "malformed" if status == b"400" else "too_large"
    series = f'fraud_http_refused_total{{reason="{reason}"}}'
    before = counted(one, series) or 0.0
    answer = said(one, sent)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert wait_until(lambda: (counted(one, series) or 0.0) > before, 10)


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
@pytest.mark.parametrize(("path", "status"), [("/predict", 413), ("/predict_batch", 413), ("/nothing", 404)])
def test_the_answer_to_a_body_far_too_large_arrives(one, path, status, connection):
    """With urllib too, which asks for the connection to be closed and sends all before it reads."""
    address = urlsplit(one.url)
    with closing(http.client.HTTPConnection(address.hostname, address.port, timeout=60)) as client:
        client.request("POST", path, b"x" * 30_000_000, {**JSON, "Connection": connection})
        with client.getresponse() as answer:
            assert answer.status == status


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (BODY, "application/json"),
        (BODY, "application/json; charset=utf-8"),
        (BODY, "Application/JSON;charset=UTF-8"),
        (json.dumps({**SAMPLE, "transaction_id": None}).encode(), "application/json"),
    ],
    ids=["plain", "with a charset", "in capitals", "with a null id"],
)
def test_what_common_clients_send_takes_the_short_cut(one, body, content_type):
    """And the one that does not is counted."""
    before = counted(one, "fraud_long_path_total")
    assert post(one, body, **{"Content-Type": content_type}).status_code == 200
    bom = post(one, b"\xef\xbb\xbf" + BODY)
    assert bom.status_code == 200
    assert wait_until(lambda: counted(one, "fraud_long_path_total") != before, 10)
    assert counted(one, "fraud_long_path_total") == before + 1


def test_batches_beyond_the_bound_are_told_to_come_again(one):
    """Of many large ones at once some are; one at a time none is, though others send theirs slowly."""
    address = urlsplit(one.url)
    head = b"POST /predict_batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
    large = json.dumps({"transactions": [SAMPLE] * 5_000})

    def batch(_=0):
        return httpx.post(f"{one.url}/predict_batch", content=large, headers=JSON, trust_env=False, timeout=60)

    with ThreadPoolExecutor(16) as pool:

        def refused():
            return [answer for answer in pool.map(batch, range(32)) if answer.status_code != 200]

        answer = wait_until(refused, 60)[0]
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["error"] == "too many calls at once; try again shortly"
    with ExitStack() as held:
        for _ in range(8):
            held.enter_context(socket.create_connection((address.hostname, address.port))).sendall(head)
        assert batch().status_code == 200
    assert batch().status_code == 200


def test_labels_that_are_not_taken_say_why(one):
    """Without keys and a database there is no /feedback."""
    answer = httpx.post(f"{one.url}/feedback", json={"transaction_id": "a", "is_fraud": True}, trust_env=False)
    assert answer.status_code == 404
    assert "FRAUD_API_KEYS" in answer.json()["error"]
