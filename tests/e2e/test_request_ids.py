"""One id from the caller's header to answer, log and prediction log, whichever way a call takes."""

import json
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from fraud import keys
from tests.components import wait_until
from tests.e2e.conftest import REPOSITORY
from tests.e2e.test_shortcut import head, heard, sent

pytestmark = pytest.mark.e2e

SAMPLE = json.loads((REPOSITORY / "sample_transaction.json").read_text())
KEY, DIGEST = keys.make()
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("databases")


@pytest.fixture(scope="module")
def settings(folder):
    """Of a server by the way that its calls take; with its access log it is BentoML's own."""
    config = folder / "config.yaml"
    config.write_text("services: {fraud_detector: {logging: {access: {enabled: true}}}}\n")
    same = {"FRAUD_API_KEYS": DIGEST, "FRAUD_MAX_BATCH_CALLS": "1", "FRAUD_LOG_REFUSED": "true"}
    return {"short": same, "stock": {**same, "BENTOML_CONFIG": str(config)}}


@pytest.fixture(scope="module")
def short(start, settings, folder):
    return start(FRAUD_DATABASE_URL=f"sqlite:///{folder}/short.sqlite", **settings["short"])


@pytest.fixture(scope="module")
def stock(start, settings, folder):
    return start(FRAUD_DATABASE_URL=f"sqlite:///{folder}/stock.sqlite", **settings["stock"])


BOTH = pytest.mark.parametrize("way", ["short", "stock"])


@pytest.fixture
def server(way, request):
    return request.getfixturevalue(way)


def post(server, path="/predict", body=SAMPLE, key=KEY, **headers):
    headers = {"authorization": f"Bearer {key}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return httpx.post(f"{server.url}{path}", json=body, headers=headers, trust_env=False, timeout=30)


def kept(folder, way, request_id):
    connection = sqlite3.connect(folder / f"{way}.sqlite")
    try:
        question = "SELECT transaction_id FROM fraud_decisions WHERE request_id = ? ORDER BY id"
        return [name for (name,) in connection.execute(question, (request_id,))]
    except sqlite3.OperationalError:  # no table yet
        return []
    finally:
        connection.close()


@BOTH
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x_request_id": "proxy-1"}, "proxy-1"),
        ({"x_request_id": "proxy-2", "traceparent": TRACEPARENT}, "proxy-2"),
        ({"traceparent": TRACEPARENT}, TRACE),
        ({}, None),
        ({"x_request_id": 'a"b'}, None),
        ({"x_request_id": "x" * 129}, None),
    ],
)
def test_a_prediction_is_kept_with_the_id_of_its_answer(server, way, folder, headers, expected):
    """The caller's, or a fresh one."""
    answer = post(server, **headers)
    own = answer.headers["x-request-id"]
    assert own == expected if expected else re.fullmatch("[0-9a-f]{32}", own)
    assert "x-bentoml-request-id" not in answer.headers
    wait_until(lambda: kept(folder, way, own) == [None])


@BOTH
def test_a_batch_has_one_id_for_all_of_its_rows(server, way, folder):
    """Those of another call beside it have another."""
    rows = [SAMPLE | {"transaction_id": f"{way}-{number}"} for number in range(1500)]
    answer = post(server, "/predict_batch", {"transactions": rows}, x_request_id=f"batch-{way}")
    assert answer.status_code == 200
    wait_until(lambda: kept(folder, way, f"batch-{way}") == [row["transaction_id"] for row in rows])


@BOTH
def test_calls_beside_each_other_keep_their_own(server, way, folder):
    """64 callers whose rows are scored together: each row is kept with the id of its call."""

    def call(number):
        body = SAMPLE | {"transaction_id": f"beside-{number}"}
        answer = post(server, body=body, x_request_id=f"beside-{number}")
        assert answer.status_code == 200
        return answer.headers["x-request-id"]

    with ThreadPoolExecutor(64) as pool:
        assert list(pool.map(call, range(300))) == [f"beside-{number}" for number in range(300)]
    for number in range(300):
        wait_until(lambda number=number: kept(folder, way, f"beside-{number}") == [f"beside-{number}"])


@BOTH
def test_every_refusal_bears_the_id_and_is_told_with_it(server, way):
    """400, 401, 404, 405, 413, 415: in the answer, and in the short line of the log."""
    url, good = f"{server.url}/predict", {"authorization": f"Bearer {KEY}"}
    calls = {
        400: ("POST", url, {"json": {}, "headers": good}),
        401: ("POST", url, {"json": SAMPLE, "headers": {}}),
        404: ("GET", f"{server.url}/nowhere%0A%1b[31m", {"headers": good}),
        405: ("GET", url, {"headers": good}),
        413: ("POST", url, {"content": b"[" * 20_000, "headers": good}),
        415: ("POST", url, {"content": b"{}", "headers": {**good, "content-type": "text/plain"}}),
    }
    for status, (method, address, more) in calls.items():
        headers = {**more.pop("headers"), "x-request-id": f"{way}-{status}"}
        answer = httpx.request(method, address, headers=headers, trust_env=False, **more)
        assert (answer.status_code, answer.headers["x-request-id"]) == (status, f"{way}-{status}")
        line = rf"\[worker 1\] refused {method} \S+: {status} \w+, client 127\.0\.0\.1:\d+ \(request_id={way}-{status}"
        wait_until(lambda line=line: re.search(line, server.log()))
    assert "refused GET /nowhere??[31m: 404" in server.log()


@BOTH
def test_a_call_given_up_bears_the_id(start, settings, way):
    """504, when a body does not come to its end; 429, when there are as many batches as may be."""
    server = start(FRAUD_REQUEST_TIMEOUT_SECONDS="1", **settings[way])
    more = f"Authorization: Bearer {KEY}\r\nX-Request-Id: slow-{way}\r\n"
    answer = heard(sent(server, head(1000, more=more) + b"{"))
    assert answer.startswith(b"HTTP/1.1 504")
    assert f"\r\nx-request-id: slow-{way}\r\n".encode() in answer
    rows = {"transactions": [SAMPLE] * 9000}

    def call(number):
        answer = post(server, "/predict_batch", rows, x_request_id=f"crowd-{number}")
        return answer.status_code, answer.headers["x-request-id"] == f"crowd-{number}"

    def crowded():
        with ThreadPoolExecutor(8) as pool:
            answers = set(pool.map(call, range(8)))
        assert {held for _, held in answers} == {True}
        return {status for status, _ in answers} >= {429}

    wait_until(crowded, seconds=60)


def test_an_access_log_bears_the_id(stock):
    """BentoML's, where it is on."""
    assert "/predict takes BentoML's path: the access log is on" in stock.log()
    post(stock, x_request_id="access-1")
    wait_until(
        lambda: re.search(
            r"\[worker 1\] 127\.0\.0\.1:\d+ \(.*path=/predict.*status=200.*request_id=access-1", stock.log()
        )
    )


BREAKING = """
from fraud import features
whole = features.FeaturePath.transform
def transform(self, rows):
    if rows[0, -1] == 666:
        raise ArithmeticError("broken on purpose")
    return whole(self, rows)
features.FeaturePath.transform = transform
"""


def test_an_unexpected_error_bears_the_id(start, tmp_path):
    """500, and the line above its traceback, of a call that the short way could not answer."""
    (tmp_path / "sitecustomize.py").write_text(BREAKING)
    server = start(PYTHONPATH=f"{tmp_path}:{REPOSITORY}")
    for number in range(3):
        answer = post(server, body=SAMPLE | {"Amount": 666}, x_request_id=f"worst-{number}")
        assert (answer.status_code, answer.headers["x-request-id"]) == (500, f"worst-{number}")
        assert post(server, body=SAMPLE, x_request_id="good").status_code == 200
    for number in range(3):
        line = rf"Exception on /predict \[POST\] \(request_id=worst-{number}\)\nTraceback"
        wait_until(lambda line=line: re.search(line, server.log()))
    assert server.log().count("ArithmeticError: broken on purpose") == 3
