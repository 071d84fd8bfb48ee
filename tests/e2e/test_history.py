"""Histories of cards and shops over HTTP: equal to the offline pass, whichever worker counts, and killed ones too."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import httpx
import numpy as np
import pandas as pd
import pytest
import sqlalchemy

from fraud import keys as api_keys
from fraud import schema
from fraud.history.files.gate import Gate
from fraud.inputs.keys import KeyHasher
from fraud.replay.states import States
from monitoring import history_metrics
from monitoring.storage.sent import RowKind
from tests import histories
from tests.components import BentoServer, free_port, wait_until
from tests.e2e.conftest import PATIENT, REPOSITORY, serve_command
from tests.e2e.test_registry import Commands

pytestmark = pytest.mark.e2e

SCHEMA = schema.parse(histories.SCHEMA, "payments.toml")
HASHER = KeyHasher(histories.SECRET)
HISTORY = len(SCHEMA.histories)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With a model that looks at histories."""
    folder = tmp_path_factory.mktemp("history")
    (folder / "payments.toml").write_text(histories.SCHEMA)
    histories.payments(4_000, seed=1).to_csv(folder / "payments.csv", index=False)
    command = Commands(folder / "home", {**os.environ, "FRAUD_KEY_SECRET": histories.SECRET})
    code, _, error = command(
        *("run", "--data", folder / "payments.csv", "--schema", folder / "payments.toml"),
        *("--split", "stratified", "--trees", "20"),
    )
    assert code == 0, error
    return folder


@contextmanager
def running(folder, tmp_path, deadline_ms="5000", **more):
    """Two workers with a store and a log of their own."""
    port = free_port()
    env = {
        **os.environ,
        **PATIENT,
        "BENTOML_HOME": str(folder / "home"),
        "FRAUD_KEY_SECRET": histories.SECRET,
        "FRAUD_WORKERS": "2",
        "FRAUD_HISTORY_URL": f"file://{tmp_path / 'store'}",
        "FRAUD_HISTORY_DEADLINE_MS": deadline_ms,
        "FRAUD_DATABASE_URL": f"sqlite:///{tmp_path / 'log.sqlite'}",
        **more,
    }
    with BentoServer(serve_command(port), env, REPOSITORY, port, tmp_path) as server:
        yield server


@pytest.fixture
def served(folder, tmp_path, request):
    """The same, for the test."""
    with running(folder, tmp_path, getattr(request, "param", "5000")) as server:
        yield server


def calls(frame):
    """Rows as requests."""
    frame = frame.drop(columns="is_fraud").assign(at=frame["at"].dt.strftime("%Y-%m-%dT%H:%M:%S.%f%z"))
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def rows_of(frame):
    """Their numbers, ``(n, inputs)``."""
    rows = np.zeros((len(frame), len(SCHEMA.inputs)))
    rows[:, SCHEMA.inputs.index("at")] = [moment.timestamp() for moment in frame["at"]]
    rows[:, SCHEMA.inputs.index("amount")] = frame["amount"]
    rows[:, SCHEMA.inputs.index("country")] = [("DE", "FR", "PL").index(country) for country in frame["country"]]
    return rows


SCORE = """
import sys, json, numpy as np
from fraud import store
served = store.open_served(store.get("fraud_detector:latest"))
place, levels = served.features.schema.inputs.index("country"), served.features.encoding.levels["country"]
rows = np.load(sys.argv[1])
rows[:, place] = [levels.index(("DE", "FR", "PL")[int(level)]) for level in rows[:, place]]
print(json.dumps(served.score(rows).tolist()))
"""


def scores(folder, frame):
    """Of the model's scorer, for rows with the histories of the offline pass."""
    np.save(folder / "rows.npy", np.hstack((rows_of(frame), offline(frame))))
    done = Commands(folder / "home", {}).python("-c", SCORE, folder / "rows.npy")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def offline(frame, frauds=None):
    """The histories of each payment, by the offline pass."""
    keys = {
        name: [HASHER(key) if isinstance(key, str) else None for key in frame[name]] for name in ("card_id", "shop_id")
    }
    return States(SCHEMA).advance(rows_of(frame), keys, frauds)


def logged(path):
    """The histories that the log holds as they were scored, by the id of the payment, of its first answer."""
    engine, kind, found = sqlalchemy.create_engine(f"sqlite:///{path}"), RowKind(SCHEMA), {}
    with engine.connect() as connection:
        for name, sent in connection.execute(
            sqlalchemy.text("SELECT transaction_id, sent FROM fraud_decisions ORDER BY id")
        ):
            found.setdefault(name, np.frombuffer(kind.read(sent)[1], "<f4")[-HISTORY:])
    engine.dispose()
    return found


def logged_to(path, name):
    """The same, when the payment of this id is there."""
    wait_until(lambda: name in logged(path))
    return logged(path)


def metric(server, name):
    text = httpx.get(f"{server.url}/metrics", trust_env=False).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def sent(client, payment):
    """The answer; sent again where a worker was killed with the call in hand."""
    while True:
        try:
            return client.post("/predict", json=payment).raise_for_status().json()
        except httpx.TransportError:
            continue


def test_histories_are_those_of_the_offline_pass(served, folder, tmp_path):
    """To the bit: sent one by one and in batches, one sent twice, one worker killed on the way."""
    frame = histories.payments(600, seed=2)
    payments, expected = calls(frame), offline(frame).astype(np.float32)
    answers = []
    with httpx.Client(base_url=served.url, trust_env=False, timeout=30) as client:
        for place, payment in enumerate(payments[:300]):
            answers.append(sent(client, payment))
            if place == 100:
                os.kill(served.worker_pids()[0], signal.SIGKILL)
            if place == 150:
                assert client.post("/predict", json=payment).json() == answers[-1]
        batch = client.post("/predict_batch", json={"transactions": payments[300:]}).json()["predictions"]
    assert [one["transaction_id"] for one in answers + batch] == frame["payment_id"].tolist()
    assert [one["fraud_probability"] for one in answers + batch] == scores(folder, frame)
    found = logged_to(tmp_path / "log.sqlite", "p-2-599")
    for name, row in zip(frame["payment_id"], expected, strict=True):
        if name in found:  # the log of a worker that was killed may miss what it had in hand
            assert found[name].tobytes() == row.tobytes(), name
    assert len(found) > 300
    assert metric(served, "fraud_history_missing_total") == 0
    assert metric(served, "fraud_history_damaged_total") == 0


def test_many_callers_leave_the_state_of_one(served, tmp_path):
    """In whichever order they come, what comes after sees the same: additions commute."""
    frame = histories.payments(400, seed=3)
    with httpx.Client(base_url=served.url, trust_env=False, timeout=30) as client:
        with ThreadPoolExecutor(16) as callers:
            list(callers.map(partial(sent, client), calls(frame)[:350]))
        last = client.post("/predict_batch", json={"transactions": calls(frame)[350:]})
        assert last.status_code == 200
    found, expected = logged_to(tmp_path / "log.sqlite", "p-3-399"), offline(frame).astype(np.float32)
    for name, row in zip(frame["payment_id"][350:], expected[350:], strict=True):
        assert found[name].tobytes() == row.tobytes()

    wait_until(lambda: metric(served, "fraud_history_keys") > 0 and metric(served, "fraud_history_bytes") > 0)


@pytest.mark.parametrize("served", ["20"], indirect=True)
def test_a_store_that_is_held_holds_up_no_call(served, tmp_path):
    """By a process that was stopped, for one: all are scored without, in time, and added when it is let go."""
    frame = histories.payments(300, seed=4)
    payments, expected = calls(frame), offline(frame).astype(np.float32)
    gate = Gate(tmp_path / "store")
    with httpx.Client(base_url=served.url, trust_env=False, timeout=30) as client:
        with gate.held(10):
            for payment in payments[:100]:
                sent(client, payment)
            client.post("/predict_batch", json={"transactions": payments[100:200]}).raise_for_status()
            wait_until(lambda: metric(served, 'fraud_history_missing_total{reason="deadline"}') == 200)
        gate.close()
        wait_until(lambda: metric(served, "fraud_history_added_total") == 200)
        client.post("/predict_batch", json={"transactions": payments[200:]}).raise_for_status()
    found = logged_to(tmp_path / "log.sqlite", "p-4-299")
    assert all(np.isnan(found[name]).all() for name in frame["payment_id"][:200])
    for name, row in zip(frame["payment_id"][200:], expected[200:], strict=True):
        assert found[name].tobytes() == row.tobytes()


def test_a_store_that_is_damaged_ends_no_worker(served, tmp_path):
    """Each of its files cut off while they are in use: calls are answered, histories begin anew, and it is counted."""
    frame = histories.payments(900, seed=5)
    payments, workers = calls(frame), sorted(served.worker_pids())
    with httpx.Client(base_url=served.url, trust_env=False, timeout=30) as client:
        for start in range(0, 900, 150):
            for payment in payments[start : start + 50]:
                sent(client, payment)
            names = sorted(path for path in (tmp_path / "store").iterdir() if ".damaged-" not in path.name)
            for path in names[start // 150 :: 6]:
                os.truncate(path, path.stat().st_size // 3)
            for payment in payments[start + 50 : start + 150]:
                sent(client, payment)
        wait_until(lambda: metric(served, "fraud_history_pending") == 0)
        logged_to(tmp_path / "log.sqlite", "p-5-899")
        last = payments[-1] | {"payment_id": "last"}
        sent(client, last)
    assert sorted(served.worker_pids()) == workers
    assert not np.isnan(logged_to(tmp_path / "log.sqlite", "last")["last"][0])


def test_a_start_without_the_secret_is_refused(folder, tmp_path):
    """With one line: keys are kept hashed."""
    command = Commands(folder / "home", {name: os.environ[name] for name in os.environ if name != "FRAUD_KEY_SECRET"})
    done = command.python("-m", "bentoml", "serve", "service:FraudDetector", "--port", str(free_port()))
    assert done.returncode != 0
    assert "FRAUD_KEY_SECRET is not set" in done.stdout + done.stderr


def labels_counted(server):
    """By outcome."""
    return {name: metric(server, f'fraud_history_labels_total{{outcome="{name}"}}') for name in history_metrics.LABELS}


def test_labels_count_as_in_the_offline_pass(folder, tmp_path):
    """By ``/feedback`` and by file, reversed, by whichever of two workers is left: payments that come then see them."""
    frame = histories.payments(500, seed=7, days=14)
    frame["at"] += pd.Timestamp(time.time() - 600, unit="s", tz="UTC").floor("ms") - frame["at"].iloc[-1]
    random = np.random.default_rng(7)
    frauds = random.random(500) < 0.4
    key, digest = api_keys.make()
    log, has_shop = tmp_path / "log.sqlite", frame["shop_id"].notna().to_numpy()
    given = (frauds | (random.random(500) < 0.2)) & (np.arange(500) < 300)  # some are told as fraud first
    with running(folder, tmp_path, FRAUD_API_KEYS=digest) as server:
        bearer = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=server.url, trust_env=False, timeout=30, headers=bearer) as client:
            for low in range(0, 450, 50):
                batch = client.post("/predict_batch", json={"transactions": calls(frame)[low : low + 50]})
                assert batch.status_code == 200

            logged_to(log, "p-7-449")

            def feedback(name, is_fraud):
                told = client.post("/feedback", json={"transaction_id": name, "is_fraud": is_fraud})
                assert told.status_code == 200

            for name in frame["payment_id"][given]:
                feedback(name, True)
            wait_until(lambda: sum(labels_counted(server).values()) == (given & has_shop).sum())
            before = labels_counted(server)
            assert before["applied"] > 30 and before["late"] > 10 and not before["unknown"]
            os.kill(server.worker_pids()[0], signal.SIGKILL)
            for name in frame["payment_id"][given & ~frauds]:
                try:
                    feedback(name, False)
                except httpx.TransportError:  # the connection was the killed worker's
                    feedback(name, False)
            file = tmp_path / "labels.csv"
            rest = frame.assign(is_fraud=frauds.astype(int))[300:450]
            rest.rename(columns={"payment_id": "transaction_id"})[["transaction_id", "is_fraud"]].to_csv(
                file, index=False
            )
            imported = [sys.executable, "-m", "monitoring", "labels", "import", file]
            env = {**os.environ, "FRAUD_DATABASE_URL": f"sqlite:///{log}"}
            subprocess.run(imported, cwd=REPOSITORY, env=env, check=True, capture_output=True)

            came_first, came_later = np.arange(500) < 300, (np.arange(500) >= 300) & (np.arange(500) < 450)
            told = given, given & ~frauds & came_first, frauds & came_later
            counted = sum((one & has_shop).sum() for one in told)
            wait_until(lambda: sum((now := labels_counted(server)).values()) == counted and now["taken_back"] > 20)
            last = client.post("/predict_batch", json={"transactions": calls(frame)[450:]})
            assert last.status_code == 200
        found = logged_to(log, "p-7-499")
    expected = offline(frame, frauds & (np.arange(500) < 450)).astype(np.float32)[450:]
    assert (expected != offline(frame).astype(np.float32)[450:]).any(axis=1).sum() > 30
    for name, row in zip(frame["payment_id"][450:], expected, strict=True):
        assert found[name].tobytes() == row.tobytes()
