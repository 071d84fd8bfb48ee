"""Keys, the prediction log and feedback over HTTP, on a server with two workers and a database of its own."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import pytest

from fraud import keys
from fraud.features import transform
from fraud.rows import unpack
from fraud.schema import default
from monitoring.storage.sent import RowKind
from tests.components import Postgres, free_port, wait_until
from tests.e2e.conftest import REPOSITORY, run, serve_command
from tests.ulb import COLUMNS
from training import sample

pytestmark = pytest.mark.e2e

SAMPLE = json.loads((REPOSITORY / "sample_transaction.json").read_text())
KEY, DIGEST = keys.make()
SECOND_KEY, SECOND_DIGEST = keys.make()
GUARDED = [("POST", "/predict"), ("POST", "/predict_batch"), ("POST", "/feedback"), ("GET", "/model")]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return tmp_path_factory.mktemp("database") / "fraud.sqlite"


@pytest.fixture(scope="module")
def server(start, database):
    """With two keys and a SQLite file; predictions are judged at once."""
    return start(
        FRAUD_WORKERS="2",
        FRAUD_API_KEYS=f"{DIGEST},{SECOND_DIGEST}",
        FRAUD_DATABASE_URL=f"sqlite:///{database}",
        FRAUD_LABEL_DELAY_DAYS="0.00001",
    )


@pytest.fixture(scope="module")
def client(server):
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30, headers=headers) as client:
        yield client


def rows_of(database, query="select * from fraud_decisions"):
    with sqlite3.connect(database) as connection:
        return connection.execute(query).fetchall()


def metric(url, line):
    found = re.search(rf"^{re.escape(line)} (\S+)$", httpx.get(f"{url}/metrics", trust_env=False).text, re.M)
    return float(found[1]) if found else None


def transactions(count):
    frame = sample.generate(2000, seed=4, fraud_share=0.2)[list(COLUMNS)].iloc[:count]
    return [dict(zip(COLUMNS, row, strict=True)) for row in frame.to_numpy().tolist()]


@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize(
    "header",
    [None, "Bearer wrong", f"Bearer {DIGEST}", f"Basic {KEY}"],
    ids=["none", "wrong", "digest", "basic"],
)
def test_without_a_key_the_doors_are_shut(server, method, path, header):
    """401 in our shape on every guarded path, whatever the body, and the way to mend it is said."""
    headers = {"Authorization": header} if header else {}
    answer = httpx.request(method, f"{server.url}{path}", headers=headers, json=SAMPLE, trust_env=False)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    words = "what was sent as Authorization is no key for this path: send one as Bearer KEY"
    needed = "a key is needed: send it as Authorization: Bearer KEY"
    assert answer.json() == {"error": words if header else needed, "details": []}


def test_refused_callers_are_counted(server):
    """By the reason ``unauthorized``, on the prediction paths."""
    name, seen = 'fraud_prediction_errors_total{reason="unauthorized"}', []

    def all_there():
        """Those of the tests before are counted within a second, and shown within another."""
        seen.append(metric(server.url, name))
        return seen[-2:-1] == seen[-1:]

    wait_until(all_there, seconds=60, every_seconds=2.5)
    httpx.post(f"{server.url}/predict", json=SAMPLE, trust_env=False)
    wait_until(lambda: metric(server.url, name) == seen[-1] + 1)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/", "/docs.json"])
def test_health_metrics_and_docs_stay_open(server, path):
    """They hold nothing of a customer, and probes have no keys."""
    assert httpx.get(f"{server.url}{path}", trust_env=False).status_code == 200


@pytest.mark.parametrize("key", [KEY, SECOND_KEY], ids=["first", "second"])
def test_each_key_opens_every_door(server, key):
    """Several keys at once, so that one can be replaced without a gap."""
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=30) as client:
        assert client.post("/predict", json=SAMPLE).status_code == 200
        assert client.post("/predict_batch", json={"transactions": [SAMPLE]}).status_code == 200
        assert client.get("/model").status_code == 200
        assert client.post("/feedback", json={"transaction_id": f"key-{key[:4]}", "is_fraud": False}).status_code == 200


def test_every_answer_is_in_the_log_as_it_was_given(client, database):
    """Both endpoints, with ids and without: score, decision, version, amount, the exact inputs and the features."""
    given = transactions(60)
    for number, row in enumerate(given[:30]):
        row["transaction_id"] = f"log-{number}"
    answers = [client.post("/predict", json=row).json() for row in given[:40]]
    answers += client.post("/predict_batch", json={"transactions": given[40:]}).json()["predictions"]
    joined = "fraud_decisions join fraud_origins o on o.id = origin_id "
    named = f"select transaction_id, fraud_probability, is_fraud, model_version, amount, sent from {joined}"  # noqa: S608
    wait_until(lambda: len(rows_of(database, named + "where transaction_id like 'log-%'")) == 30)
    wait_until(lambda: rows_of(database, "select count(*) from fraud_decisions")[0][0] >= 60)
    found = {row[0]: row[1:] for row in rows_of(database, named)}
    for row, answer in zip(given[:30], answers, strict=False):
        probability, is_fraud, version, amount, blob = found[row["transaction_id"]]
        assert (probability, bool(is_fraud), version) == (
            answer["fraud_probability"], answer["is_fraud"], answer["model_version"],
        )  # fmt: skip
        assert amount == row["Amount"]
        numbers, features, _ = RowKind(default()).read(blob)
        assert unpack([numbers]).tolist() == [[row[name] for name in COLUMNS]]
        assert features == transform(unpack([numbers])).astype("<f4").tobytes()


def test_refused_calls_are_not_in_the_log(client, database):
    """An invalid transaction leaves no row."""
    client.post("/predict", json=SAMPLE | {"transaction_id": "refused-1", "V1": "x"})
    client.post("/predict", json=SAMPLE | {"transaction_id": "taken-1"})
    wait_until(lambda: rows_of(database, "select 1 from fraud_decisions where transaction_id = 'taken-1'"))
    assert not rows_of(database, "select 1 from fraud_decisions where transaction_id = 'refused-1'")


def test_feedback_is_kept_before_it_is_answered(client, database):
    """The label is in the database when the answer comes; the last one stands."""
    for is_fraud in (True, False, True):
        answer = client.post("/feedback", json={"transaction_id": "fb-1", "is_fraud": is_fraud})
        assert answer.json() == {"transaction_id": "fb-1", "is_fraud": is_fraud}
        kept = rows_of(database, "select is_fraud, source from labels where transaction_id = 'fb-1'")
        assert kept == [(is_fraud, "feedback")]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{", "the body is not JSON"),
        ("[]", "body should be an object"),
        ('{"transaction_id": "a"}', "is_fraud is required"),
        ('{"is_fraud": true}', "transaction_id is required"),
        ('{"transaction_id": "a", "is_fraud": 1}', "is_fraud should be a valid boolean"),
        ('{"transaction_id": "", "is_fraud": true}', "transaction_id should be 1 to 64 letters"),
        ('{"transaction_id": "a", "is_fraud": true, "by": "me"}', "by is not a field"),
        ('{"transaction_id": "a", "is_fraud": true, "is_fraud": false}', "given more than once"),
    ],
)
def test_bad_feedback_is_refused_by_field(client, body, words):
    """400 in our shape, and no label."""
    answer = client.post("/feedback", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_live_quality_is_on_the_metrics_page(client, server, database):
    """Labels of flagged and unflagged transactions become precision and recall, of this model's version."""
    given = [row | {"transaction_id": f"live-{number}"} for number, row in enumerate(transactions(100))]
    answers = client.post("/predict_batch", json={"transactions": given}).json()["predictions"]
    flagged = [answer["transaction_id"] for answer in answers if answer["is_fraud"]]
    assert len(flagged) > 3
    for name in flagged[1:]:
        client.post("/feedback", json={"transaction_id": name, "is_fraud": True})
    version = answers[0]["model_version"]
    labelled = f'fraud_live_labelled{{model_version="{version}"}}'
    wait_until(lambda: (metric(server.url, labelled) or 0) >= len(flagged) - 1, seconds=20)
    line = f'fraud_live_quality{{bound="%s",figure="precision",model_version="{version}"}}'

    def published():
        """All three, once both workers' pages have them: each worker's page is a second old at most."""
        low, value, high = (metric(server.url, line % bound) or 0.0 for bound in ("low", "value", "high"))
        return 0 < low < value < high <= 1 and value

    value = wait_until(published)
    report = json.loads(
        run(
            [sys.executable, "-m", "monitoring", "labels", "report"],
            {**os.environ, "FRAUD_DATABASE_URL": f"sqlite:///{database}", "FRAUD_LABEL_DELAY_DAYS": "0.00001"},
        )
    )
    assert report["models"][0]["precision"]["value"] == pytest.approx(value, abs=0.1)


def test_without_keys_there_is_no_feedback(start, tmp_path):
    """Labels train the next model: nobody anonymous may write them. Predictions are logged all the same."""
    path = tmp_path / "fraud.sqlite"
    server = start(FRAUD_DATABASE_URL=f"sqlite:///{path}", FRAUD_LOG_FEATURES="false")
    answer = httpx.post(f"{server.url}/feedback", json={"transaction_id": "a", "is_fraud": True}, trust_env=False)
    assert answer.status_code == 404
    httpx.post(f"{server.url}/predict", json=SAMPLE, trust_env=False).raise_for_status()
    assert server.terminate() == 0  # and what waited is written
    assert rows_of(
        path, "select model_version is null, sent from fraud_decisions join fraud_origins o on o.id = origin_id"
    ) == [(0, None)]


def test_sigterm_writes_what_waits(start, tmp_path):
    """Nothing answered is missing from the log after an orderly end, with calls until the last moment."""
    path = tmp_path / "fraud.sqlite"
    server = start(FRAUD_DATABASE_URL=f"sqlite:///{path}", FRAUD_WORKERS="2")
    answered = []

    def call(number):
        try:
            answer = httpx.post(
                f"{server.url}/predict", json=SAMPLE | {"transaction_id": f"t{number}"}, trust_env=False, timeout=10
            )
        except httpx.TransportError:
            return
        if answer.status_code == 200:
            answered.append(f"t{number}")

    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(call, number) for number in range(400)]
        wait_until(lambda: len(answered) > 100)
        assert server.terminate() == 0
        for one in calls:
            one.cancel()
    assert {row[0] for row in rows_of(path, "select transaction_id from fraud_decisions")} >= set(answered)


def test_a_dead_database_costs_no_answer_and_loses_nothing_when_it_is_back(start, tmp_path):
    """Postgres stopped under load: answers go on as quick as before, feedback says 503; back again, all is written."""
    with Postgres(tmp_path) as postgres:
        postgres.upgrade()
        server = start(FRAUD_DATABASE_URL=postgres.url, FRAUD_API_KEYS=DIGEST, FRAUD_WORKERS="2")
        headers = {"Authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=30) as client:

            def predict(count, name):
                started = time.perf_counter()
                for number in range(count):
                    body = SAMPLE | {"transaction_id": f"{name}-{number}"}
                    client.post("/predict", json=body).raise_for_status()
                return (time.perf_counter() - started) / count

            with_database = predict(100, "before")
            wait_until(lambda: postgres.query("select count(*) from fraud_decisions") == "100")
            postgres.stop()
            without = predict(300, "during")
            assert without < 5 * with_database + 0.01
            answer = client.post("/feedback", json={"transaction_id": "before-1", "is_fraud": True})
            assert answer.status_code == 503
            assert "send it again" in answer.json()["error"]
            wait_until(lambda: metric(server.url, "fraud_log_pending") == 300)
            postgres.start()
            wait_until(lambda: postgres.query("select count(*) from fraud_decisions") == "400", seconds=40)
            answer = client.post("/feedback", json={"transaction_id": "before-1", "is_fraud": True})
            assert answer.status_code == 200
            assert postgres.query("select is_fraud from labels") == "t"
            assert metric(server.url, 'fraud_log_dropped_total{reason="full"}') == 0
        os.kill(server.pid, signal.SIGTERM)


def test_what_is_done_to_postgres_loses_no_row(start, tmp_path):
    """Connections killed, the table dropped, a column changed and changed back: every answer is kept."""
    with Postgres(tmp_path) as postgres:
        postgres.upgrade()
        server = start(FRAUD_DATABASE_URL=postgres.url)

        def predict(name, count=20):
            for number in range(count):
                body = SAMPLE | {"transaction_id": f"{name}-{number}"}
                httpx.post(f"{server.url}/predict", json=body, trust_env=False, timeout=30).raise_for_status()

        def kept(name):
            return postgres.query("select transaction_id from fraud_decisions").count(f"{name}-") == 20

        predict("first")
        wait_until(lambda: kept("first"))
        postgres.query("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
        predict("killed")
        wait_until(lambda: kept("killed"), seconds=30)
        postgres.query("drop table fraud_decisions")
        predict("dropped")
        wait_until(lambda: "has no table fraud_decisions any more" in server.log(), seconds=30)
        postgres.upgrade()
        wait_until(lambda: kept("dropped"), seconds=30)
        postgres.query("alter table fraud_decisions rename column amount to other")
        predict("changed")
        wait_until(lambda: "fraud_decisions has no column amount" in server.log(), seconds=30)
        postgres.query("alter table fraud_decisions rename column other to amount")
        wait_until(lambda: kept("changed"), seconds=40)
        assert metric(server.url, 'fraud_log_dropped_total{reason="invalid"}') == 0
        wait_until(lambda: metric(server.url, "fraud_log_written_total") == 80)


def test_a_file_that_is_replaced_keeps_what_comes(start, tmp_path):
    """Deleted with its folder, and an older one moved in its place, under two workers: said, counted, nothing lost."""
    path, older = tmp_path / "data" / "fraud.sqlite", tmp_path / "older.sqlite"
    server = start(FRAUD_DATABASE_URL=f"sqlite:///{path}", FRAUD_WORKERS="2")

    def predict(name):
        def call(number):
            body = SAMPLE | {"transaction_id": f"{name}-{number}"}
            httpx.post(f"{server.url}/predict", json=body, trust_env=False, timeout=30).raise_for_status()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(call, range(60)))

    def kept(name):
        found = rows_of(path, "select transaction_id from fraud_decisions") if path.exists() else []
        return sum(row[0].startswith(name) for row in found) == 60

    def reopened():
        return metric(server.url, "fraud_log_reopened_total")

    predict("first")
    wait_until(lambda: kept("first"))
    wait_until(lambda: metric(server.url, "fraud_log_written_total") == 60)
    with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(older)) as other:
        one.backup(other)
    shutil.rmtree(path.parent)
    wait_until(lambda: path.exists() and reopened())
    predict("second")
    wait_until(lambda: kept("second"))
    seen = reopened()
    older.rename(path)
    wait_until(lambda: reopened() > seen)
    predict("third")
    wait_until(lambda: kept("third"))
    assert kept("first")
    assert rows_of(path, "pragma integrity_check") == [("ok",)]
    assert "was deleted, emptied or replaced" in server.log()
    assert metric(server.url, 'fraud_log_dropped_total{reason="invalid"}') == 0


def test_a_bad_database_url_stops_the_start_without_showing_it(store, tmp_path):
    """One line; a password in the URL is not in it."""

    env = {**store.env, "FRAUD_DATABASE_URL": "mysql+nothing://u:secret@h/x"}
    done = subprocess.run(
        serve_command(free_port()), env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "FRAUD_DATABASE_URL is no database" in done.stderr
    assert "secret" not in done.stderr + done.stdout
