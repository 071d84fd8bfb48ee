"""The two-worker server answers as the contract says, under load, on bad input, and when it is told to stop."""

import json
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import bentoml
import httpx
import numpy as np
import pytest

from fraud.features import transform
from tests.components import BentoServer, free_port, wait_until
from tests.e2e.conftest import REPOSITORY, serve_command
from tests.ulb import COLUMNS
from training import sample

pytestmark = pytest.mark.e2e

SAMPLE = json.loads((REPOSITORY / "sample_transaction.json").read_text())


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def rows():
    """400 transactions of another seed than the training sample's."""
    return sample.generate(2000, seed=9, fraud_share=0.05)[list(COLUMNS)].to_numpy()[:400]


@pytest.fixture(scope="module")
def expected(store, rows):
    """What scikit-learn gives for them, by the pipeline loaded from the model store."""
    code = (
        "import bentoml, sys, numpy as np;"
        f"model = bentoml.sklearn.load_model('fraud_detector:{store.version}').set_params(forest__n_jobs=1);"
        "rows = np.load(sys.argv[1]); np.save(sys.argv[2], model.predict_proba(rows)[:, 1])"
    )
    given, result = store.home / "rows.npy", store.home / "scores.npy"
    np.save(given, rows)
    subprocess.run([sys.executable, "-c", code, given, result], env=store.env, cwd=REPOSITORY, check=True)
    return np.load(result)


def transaction(row, **more):
    return dict(zip(COLUMNS, row.tolist(), strict=True)) | more


def test_the_sample_transaction_is_not_fraud(client, store):
    """The demo's request gets its probability, the decision and the version of the model."""
    answer = client.post("/predict", json=SAMPLE)
    assert answer.status_code == 200
    assert answer.json().keys() == {"fraud_probability", "is_fraud", "model_version"}
    assert answer.json()["fraud_probability"] < store.result["threshold"]
    assert answer.json()["is_fraud"] is False
    assert answer.json()["model_version"] == store.version


def test_an_id_comes_back(client):
    """transaction_id is in the answer when it was in the request."""
    assert client.post("/predict", json=SAMPLE | {"transaction_id": "t-1"}).json()["transaction_id"] == "t-1"


def test_scores_over_http_equal_scikit_learn(client, rows, expected, store):
    """One by one from 64 callers, each caller gets its own row's score, equal to the bit, and its own id."""

    def call(number):
        return client.post("/predict", json=transaction(rows[number], transaction_id=f"id-{number}")).json()

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(call, range(len(rows))))
    assert [answer["fraud_probability"] for answer in answers] == expected.tolist()
    assert [answer["transaction_id"] for answer in answers] == [f"id-{number}" for number in range(len(rows))]
    assert [answer["is_fraud"] for answer in answers] == (expected >= store.result["threshold"]).tolist()
    assert 0 < sum(answer["is_fraud"] for answer in answers) < len(rows)


def test_a_batch_gives_the_same_scores(client, rows, expected):
    """/predict_batch answers in order, with ids where they were given."""
    given = [transaction(row) for row in rows]
    given[1]["transaction_id"] = "second"
    answers = client.post("/predict_batch", json={"transactions": given}).json()["predictions"]
    assert [answer["fraud_probability"] for answer in answers] == expected.tolist()
    assert [answer.get("transaction_id") for answer in answers[:3]] == [None, "second", None]


def test_concurrent_callers_are_scored_in_batches(client, server):
    """Under 64 callers BentoML's own batch-size metric shows a mean above 2."""
    time.sleep(1.5)  # what came before is counted
    before = batches(client)
    body = json.dumps(SAMPLE).encode()
    flood(server, body, callers=64, calls=40)
    wait_until(lambda: batches(client)[0] - before[0] == 64 * 40)
    assert 64 * 40 / (batches(client)[1] - before[1]) > 2


def batches(client):
    text = client.get("/metrics").text
    found = [
        re.findall(rf"^bentoml_service_adaptive_batch_size_{end}\{{.*\}} (\S+)", text, re.M) for end in ("sum", "count")
    ]
    return [sum(map(float, values)) for values in found]


def flood(server, body, callers, calls):
    """Plain sockets, kept alive: the load generator must not be the bottleneck on two cores."""
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    barrier = threading.Barrier(callers)

    def caller():
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            barrier.wait()
            for _ in range(calls):
                connection.sendall(request)
                answer = b""
                while not answer.endswith(b"}"):
                    answer += connection.recv(4096)
                assert answer.startswith(b"HTTP/1.1 200"), answer

    with ThreadPoolExecutor(callers) as pool:
        for done in [pool.submit(caller) for _ in range(callers)]:
            done.result()


BAD = [
    ("not JSON at all", b"hello", 400, "the body is not JSON"),
    ("empty", b"", 400, "the body is not JSON"),
    ("truncated", b'{"Time": 1', 400, "the body is not JSON"),
    ("not UTF-8", b'{"Time": "\xff"}', 400, "the body is not JSON"),
    ("an array", json.dumps([SAMPLE]).encode(), 400, "should be an object"),
    ("null", b"null", 400, "should be an object"),
    ("empty object", b"{}", 400, "Time is required (and 29 more)"),
    ("missing field", json.dumps({k: v for k, v in SAMPLE.items() if k != "V7"}).encode(), 400, "V7 is required"),
    ("unknown field", json.dumps(SAMPLE | {"Class": 0}).encode(), 400, "Class is not a field of a transaction"),
    ("wrong case", json.dumps(SAMPLE | {"amount": 1}).encode(), 400, "amount is not a field"),
    ("text", json.dumps(SAMPLE | {"V1": "1.5"}).encode(), 400, "V1 should be a valid number"),
    ("boolean", json.dumps(SAMPLE | {"V1": True}).encode(), 400, "V1 should be a valid number"),
    ("null value", json.dumps(SAMPLE | {"V1": None}).encode(), 400, "V1 should be a valid number"),
    ("list value", json.dumps(SAMPLE | {"V1": [1]}).encode(), 400, "V1 should be a valid number"),
    ("NaN", json.dumps(SAMPLE | {"V1": float("nan")}).encode(), 400, "V1 should be a finite number"),
    ("Infinity", json.dumps(SAMPLE | {"V1": float("inf")}).encode(), 400, "V1 should be a finite number"),
    ("1e400", json.dumps(SAMPLE).replace("23}", "1e400}").encode(), 400, "Amount should be a finite number"),
    ("overflows float32", json.dumps(SAMPLE | {"V3": 1e40}).encode(), 400, "V3 should be less than"),
    ("far out", json.dumps(SAMPLE | {"V3": -1e7}).encode(), 400, "V3 should be greater than"),
    ("negative amount", json.dumps(SAMPLE | {"Amount": -1}).encode(), 400, "Amount should be greater than"),
    ("negative time", json.dumps(SAMPLE | {"Time": -1}).encode(), 400, "Time should be greater than"),
    ("repeated field", json.dumps(SAMPLE).replace("{", '{"V1": 9, ', 1).encode(), 400, "V1 given more than once"),
    (
        "number as id",
        json.dumps(SAMPLE | {"transaction_id": 7}).encode(),
        400,
        "transaction_id should be text, in quotes",
    ),
    ("odd id", json.dumps(SAMPLE | {"transaction_id": "a b\n"}).encode(), 400, "transaction_id"),
    ("long id", json.dumps(SAMPLE | {"transaction_id": "x" * 65}).encode(), 400, "transaction_id"),
    ("too large", json.dumps(SAMPLE | {"x": "y" * 20_000}).encode(), 413, "larger than 16384 bytes"),
]


@pytest.mark.parametrize(("body", "status", "words"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_input_is_refused_in_one_shape(client, body, status, words):
    """Each bad body gets its status and words that name what is wrong."""
    answer = client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert answer.json().keys() == {"error", "details"}
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"transactions": []}, 400, "transactions"),
        ({}, 400, "transactions is required"),
        ([SAMPLE], 400, "should be an object"),
        ({"transactions": [SAMPLE, SAMPLE | {"V2": "x"}]}, 400, "transactions.1.V2 should be a valid number"),
        ({"transactions": [SAMPLE], "extra": 1}, 400, "extra"),
        ({"transactions": [{}] * 10_001}, 413, "at most 10000 transactions"),
        ({"transactions": ["x" * 9_000_000]}, 413, "larger than 8388608 bytes"),
    ],
)
def test_a_bad_batch_is_refused_whole(client, body, status, words):
    """The first bad row is named by its place, and nothing is scored."""
    answer = client.post("/predict_batch", json=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/predict", {}, 405),
        ("DELETE", "/predict_batch", {}, 405),
        ("POST", "/model", {}, 405),
        ("GET", "/nowhere", {}, 404),
        ("GET", "/../../etc/passwd", {}, 404),
        ("POST", "/predict", {"content-type": "text/plain"}, 415),
        ("POST", "/predict", {"content-type": "application/vnd.bentoml+pickle"}, 415),
        ("POST", "/predict", {"content-type": "application/json", "content-encoding": "gzip"}, 415),
    ],
)
def test_wrong_calls_are_refused_in_the_same_shape(client, method, path, headers, status):
    """Wrong path, method or media type: JSON with error and details, like every other refusal."""
    answer = client.request(method, path, content=json.dumps(SAMPLE), headers=headers)
    assert answer.status_code == status
    assert answer.json().keys() == {"error", "details"}


def test_a_poisonous_row_does_not_hurt_its_neighbours(server):
    """While 16 callers send good rows, others send what would overflow: every good row is answered with 200."""
    good, bad = json.dumps(SAMPLE).encode(), json.dumps(SAMPLE | {"V3": 1e40}).encode()
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client, ThreadPoolExecutor(16) as pool:
        send = lambda body: client.post("/predict", content=body, headers={"content-type": "application/json"})  # noqa: E731
        statuses = list(pool.map(lambda number: send(bad if number % 4 == 0 else good).status_code, range(200)))
    assert statuses == [400, 200, 200, 200] * 50


def test_a_caller_who_hangs_up_is_counted_and_fills_no_log(client, server):
    """A connection closed in the middle of the body: counted as disconnected, and no traceback is logged."""

    def hung_up():
        text = client.get("/metrics").text
        return float(re.search(r'fraud_prediction_errors_total\{reason="disconnected"\} (\S+)', text)[1])

    before = hung_up()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 600\r\n\r\n"
        connection.sendall(head.encode() + b'{"Time": 1')
        time.sleep(0.3)
    wait_until(lambda: hung_up() == before + 1)
    assert "Traceback" not in server.log()


def test_the_model_card_is_of_the_stored_manifest(client, store):
    """GET /model tells version, threshold, figures and that the data was synthetic."""
    card = client.get("/model").json()
    for name in ("model_version", "threshold", "synthetic"):
        assert card[name] == store.result[name]
    assert card["metrics"].items() <= store.result["metrics"].items()


def test_the_docs_page_and_schema_are_served_without_a_tracker(client):
    """The first page loads nothing from elsewhere, and its document carries the sample transaction."""
    page = client.get("/").text
    assert "googletagmanager" not in page
    assert not re.search(r"(src|href)=.?(https?:)?//", page)
    for asset in re.findall(r'(?:src|href)="(static_content/[^"]+)"', page):
        assert client.get(f"/{asset}").status_code == 200
    document = client.get("/docs.json").json()
    content = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert content["example"].items() >= SAMPLE.items()


def test_the_bentoml_client_works(server, store):
    """The README's Python client gets the same answer."""
    with bentoml.SyncHTTPClient(server.url) as client:
        assert client.predict(SAMPLE)["model_version"] == store.version
        assert len(client.predict_batch({"transactions": [SAMPLE, SAMPLE]})["predictions"]) == 2


def test_features_are_the_same_over_http_and_in_training(rows):
    """JSON carries float64 exactly, so one row alone has the features it has in a frame."""
    again = np.array([[json.loads(json.dumps(value)) for value in row] for row in rows.tolist()])
    assert np.array_equal(transform(again), transform(rows))


@pytest.fixture
def own_server(store, tmp_path):
    """Starts a server of the test's own: on a copy of the store, with more settings."""
    servers = []

    def start(change=lambda _: None, path="/readyz", **settings):
        own, port = store.copy(tmp_path / f"home{len(servers)}"), free_port()
        change(own.home / "models" / "fraud_detector" / store.version)
        env = {**own.env, "FRAUD_WORKERS": "1", **settings}
        folder = tmp_path / f"log{len(servers)}"
        folder.mkdir()
        server = BentoServer(serve_command(port), env, REPOSITORY, port, folder)
        servers.append(server)
        return server.start(path=path)

    yield start
    for server in servers:
        server.terminate()


def test_what_is_in_flight_is_finished_on_sigterm(own_server):
    """A call that arrived before SIGTERM is answered, then the server ends with exit code 0."""
    server = own_server()
    body = json.dumps(SAMPLE).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head.encode() + body[:100])
        time.sleep(0.3)
        ended = ThreadPoolExecutor(1).submit(server.terminate)
        time.sleep(1)
        connection.sendall(body[100:])
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 200")
    assert ended.result(timeout=40) == 0


def test_a_model_that_is_not_exact_is_not_served(own_server):
    """A changed scorer file: not ready, 503 in our shape with Retry-After, alive all the same, and the log says why."""

    def damage(entry):
        path = entry / "forest.safetensors"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)

    server = own_server(damage, path="/livez")
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        wait_until(lambda: client.get("/readyz").status_code == 503)
        for answer in (client.post("/predict", json=SAMPLE), client.get("/model")):
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert answer.json() == {"error": "no model is ready; the service's log says why", "details": []}
        wait_until(lambda: 'errors_total{reason="not_ready"} 1.0' in client.get("/metrics").text)
        assert "fraud_workers_ready 0.0" in client.get("/metrics").text
    assert "not ready: fraud_detector" in server.log()
    assert "forest.safetensors is not the file that was saved" in server.log()


def test_an_unknown_setting_stops_the_start_with_one_line(store):
    """A misspelt FRAUD_ variable is named, with those that exist, and there is no traceback."""
    env = {**store.env, "FRAUD_WORKRS": "3"}
    done = subprocess.run(
        serve_command(free_port()), env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "error: FRAUD_WORKRS is not a setting; there are FRAUD_" in done.stderr
    assert "Traceback" not in done.stderr
