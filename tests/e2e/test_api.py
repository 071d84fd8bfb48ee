"""Each refusal of ``/docs.json`` but 500 is provoked, and answered with the status, headers and body it has there."""

import http.client
import json
import socket
import threading
from types import SimpleNamespace

import httpx
import pytest
from jsonschema import Draft202012Validator

from fraud import keys
from tests.components import BentoServer, free_port, wait_until
from tests.e2e.conftest import REPOSITORY, serve_command
from tests.ulb import COLUMNS

pytestmark = pytest.mark.e2e

SAMPLE = json.loads((REPOSITORY / "sample_transaction.json").read_text())
JSON = "application/json"
LIMITS = {
    "FRAUD_MAX_HEADER_BYTES": "4096",
    "FRAUD_HEADER_TIMEOUT_SECONDS": "1",
    "FRAUD_MAX_BODY_BYTES": "200000",
    "FRAUD_MAX_BATCH_ROWS": "10",
    "FRAUD_MAX_BATCH_CALLS": "1",
    "FRAUD_REQUEST_TIMEOUT_SECONDS": "5",
}


@pytest.fixture(scope="module")
def api(start, tmp_path_factory):
    """A server with keys, labels and narrow bounds; its document, and a client that sends the key."""
    key, digest = keys.make()
    database = tmp_path_factory.mktemp("labels") / "fraud.sqlite"
    server = start(FRAUD_API_KEYS=digest, FRAUD_DATABASE_URL=f"sqlite:///{database}", **LIMITS)
    bearer = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30, headers=bearer) as client:
        document = client.get("/docs.json").json()
        yield SimpleNamespace(server=server, client=client, document=document, bearer=bearer)


def check(document, method, path, answer):
    """An answer against the document: its status is there, with its headers, media type and schema."""
    told = document["paths"][path][method.lower()]["responses"][str(answer.status_code)]
    if "$ref" in told:
        told = document["components"]["responses"][told["$ref"].rsplit("/", 1)[-1]]
    needed = [name for name, header in told.get("headers", {}).items() if header.get("required")]
    missing = [name for name in needed if name.lower() not in answer.headers]
    assert missing == []
    media_type = answer.headers["content-type"].partition(";")[0]
    schema = told["content"][media_type]["schema"]
    body = answer.json() if media_type == JSON else answer.text
    Draft202012Validator({**schema, "components": document["components"]}).validate(body)


def refused(api, status, method, path, **more):
    """What a call is answered with, after a look at its status and at the document."""
    answer = api.client.request(method, path, **more)
    assert answer.status_code == status, answer.text
    check(api.document, method, path, answer)
    return answer


BODIES = {
    "/predict": SAMPLE,
    "/predict_batch": {"transactions": [SAMPLE]},
    "/feedback": {"transaction_id": "a-1", "is_fraud": True},
}


@pytest.mark.parametrize("path", BODIES)
def test_what_is_sent_wrongly(api, path):
    """400, 413 and 415 where a body is taken."""
    refused(api, 200, "POST", path, json=BODIES[path])
    refused(api, 400, "POST", path, content=b"{", headers={"content-type": JSON})
    assert refused(api, 400, "POST", path, json={}).json()["details"]
    refused(api, 413, "POST", path, json={"too much": "x" * 250_000})
    refused(api, 415, "POST", path, content=b"<a/>", headers={"content-type": "application/xml"})
    refused(api, 415, "POST", path, json=BODIES[path], headers={"content-encoding": "gzip"})


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "text/json", "application/problem+json", "application/x-www-form-urlencoded", "multipart/form-data",
     "application/json, text/plain", "application/octet-stream", "", "json", "application/vnd.bentoml+pickle"],
)  # fmt: skip
def test_odd_media_types(api, content_type):
    """Whatever else than JSON it says to be is refused with 415, even if the bytes are JSON."""
    for path, body in BODIES.items():
        refused(api, 415, "POST", path, content=json.dumps(body), headers={"content-type": content_type})


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-7"])
def test_other_encodings_than_utf_8(api, encoding):
    """JSON is UTF-8 (RFC 8259): what is not is no JSON, whatever its charset says."""
    text = json.dumps(BODIES["/feedback"] | {"transaction_id": "ä"}, ensure_ascii=False)
    content = {"content-type": f"{JSON}; charset={encoding}"}
    refused(api, 400, "POST", "/feedback", content=text.encode(encoding), headers=content)


def test_too_many_rows(api):
    answer = refused(api, 413, "POST", "/predict_batch", json={"transactions": [SAMPLE] * 11})
    assert "at most 10 transactions" in answer.json()["error"]


def test_a_field_at_fault_is_named(api):
    """By its name, and by the place of its row in a batch."""
    wrong = SAMPLE | {COLUMNS[-1]: "text"}
    assert refused(api, 400, "POST", "/predict", json=wrong).json()["details"][0]["field"] == COLUMNS[-1]
    answer = refused(api, 400, "POST", "/predict_batch", json={"transactions": [SAMPLE, wrong]})
    assert answer.json()["details"][0]["field"] == f"transactions.1.{COLUMNS[-1]}"


@pytest.mark.parametrize(("method", "path"), [("GET", "/model"), *(("POST", path) for path in BODIES)])
def test_calls_without_a_key(api, method, path):
    answer = refused(api, 401, method, path, headers={"authorization": ""})
    assert answer.headers["www-authenticate"] == "Bearer"


def test_every_get_is_answered_as_documented(api):
    paths = [path for path, methods in api.document["paths"].items() if "get" in methods]
    assert len(paths) >= 8
    for path in paths:
        refused(api, 200, "GET", path)


def test_heads_beyond_the_bounds(api):
    """414 and 431 for every operation."""
    for path, methods in api.document["paths"].items():
        for method in methods:
            answer = api.client.request(method, path, headers={"x-long": "x" * 20_000})
            assert answer.status_code == 431
            check(api.document, method, path, answer)
            answer = api.client.request(method, f"{path}?{'x' * 20_000}")
            assert answer.status_code == 414
            check(api.document, method, path, answer)


@pytest.mark.parametrize("head", [b"GET /model HTTP/1.1\r\nHost: x\r\nX", b"G"])
def test_a_head_that_never_ends(api, head):
    with socket.create_connection(("127.0.0.1", api.server.port), timeout=30) as connection:
        connection.sendall(head)
        answer = read(connection)
    assert answer.status_code == 408
    check(api.document, "GET", "/model", answer)


def test_no_http(api):
    with socket.create_connection(("127.0.0.1", api.server.port), timeout=30) as connection:
        connection.sendall(b"FOO /model HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = read(connection)
    assert answer.status_code == 400
    check(api.document, "GET", "/model", answer)


def read(connection):
    """The answer on a connection, as httpx has it."""
    with http.client.HTTPResponse(connection) as answer:
        answer.begin()
        return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())


@pytest.mark.parametrize("path", BODIES)
def test_a_body_that_never_ends(api, path):
    """504, when the time of a call is over."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\nContent-Length: 99\r\n"
    head += f"Authorization: {api.bearer['authorization']}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", api.server.port), timeout=30) as connection:
        connection.sendall(head.encode() + b"{")
        answer = read(connection)
    assert answer.status_code == 504
    check(api.document, "POST", path, answer)


def test_too_many_batches_at_once(start):
    """429 with Retry-After, once one batch is under way."""
    server = start(FRAUD_MAX_BATCH_CALLS="1")
    body = json.dumps({"transactions": [SAMPLE] * 10_000})
    answers, over = [], threading.Event()

    def call():
        with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
            while not over.is_set():
                answer = client.post("/predict_batch", content=body, headers={"content-type": JSON})
                answers.append(answer)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    try:
        crowded = wait_until(lambda: [answer for answer in [*answers] if answer.status_code == 429], 60)
    finally:
        over.set()
        for caller in callers:
            caller.join()
    document = httpx.get(f"{server.url}/docs.json", trust_env=False).json()
    check(document, "POST", "/predict_batch", crowded[0])
    assert {answer.status_code for answer in answers} == {200, 429}


@pytest.fixture
def without_model(store, tmp_path):
    """The address of a server whose model was changed on disk."""
    own, port = store.copy(tmp_path / "home"), free_port()
    forest = own.home / "models" / "fraud_detector" / store.version / "forest.safetensors"
    forest.write_bytes(forest.read_bytes() + b" ")
    server = BentoServer(serve_command(port), {**own.env, "FRAUD_WORKERS": "1"}, REPOSITORY, port, tmp_path)
    server.start(path="/livez")
    yield server.url
    server.terminate()


def test_without_a_model(without_model):
    """503 with Retry-After from all that needs one."""
    with httpx.Client(base_url=without_model, trust_env=False) as client:
        document = client.get("/docs.json").json()
        for method, path in [("POST", "/predict"), ("POST", "/predict_batch"), ("GET", "/model"), ("GET", "/readyz")]:
            answer = client.request(method, path, json=BODIES.get(path))
            assert answer.status_code == 503
            check(document, method, path, answer)
