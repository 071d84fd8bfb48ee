"""Two replicas that share histories in Redis, over HTTP: equal to the offline pass, whoever is asked."""

import os
import shutil
import time
from contextlib import ExitStack

import httpx
import numpy as np
import pandas as pd
import pytest

from fraud import keys as api_keys
from tests import histories
from tests.components import BentoServer, Redis, free_port, wait_until
from tests.e2e.conftest import PATIENT, REPOSITORY, serve_command
from tests.e2e.test_history import calls, folder, logged, metric, offline, scores, sent  # noqa: F401 - a fixture

pytestmark = pytest.mark.e2e


@pytest.fixture
def replicas(folder, tmp_path):  # noqa: F811
    """Two, and their Redis and database."""
    key, digest = api_keys.make()
    with ExitStack() as stack:
        redis = stack.enter_context(Redis(tmp_path))
        servers = []
        for name in ("one", "other"):
            port, own = free_port(), tmp_path / name
            shutil.copytree(folder / "home", own / "home", ignore=shutil.ignore_patterns("fraud_history", "run"))
            env = {
                **os.environ,
                **PATIENT,
                "BENTOML_HOME": str(own / "home"),
                "FRAUD_KEY_SECRET": histories.SECRET,
                "FRAUD_WORKERS": "1",
                "FRAUD_HISTORY_URL": redis.url,
                "FRAUD_HISTORY_DEADLINE_MS": "5000",
                "FRAUD_DATABASE_URL": f"sqlite:///{tmp_path / 'log.sqlite'}",
                "FRAUD_API_KEYS": digest,
            }
            servers.append(stack.enter_context(BentoServer(serve_command(port), env, REPOSITORY, port, own)))
        clients = [
            stack.enter_context(
                httpx.Client(base_url=one.url, trust_env=False, timeout=30, headers={"Authorization": f"Bearer {key}"})
            )
            for one in servers
        ]
        yield redis, servers, clients


def test_replicas_see_what_the_others_added(replicas, folder, tmp_path):  # noqa: F811
    """To the bit: in turn, one by one and in batches, some sent twice."""
    _, servers, clients = replicas
    frame = histories.payments(400, seed=2)
    payments, expected = calls(frame), offline(frame).astype(np.float32)
    answers = []
    for place, payment in enumerate(payments[:200]):
        answers.append(sent(clients[place % 2], payment))
        if place % 20 == 0:
            assert sent(clients[1 - place % 2], payment) == answers[-1]
    for start in (200, 300):
        body = {"transactions": payments[start : start + 100]}
        answers += clients[start // 100 % 2].post("/predict_batch", json=body).json()["predictions"]
    assert [one["fraud_probability"] for one in answers] == scores(folder, frame)
    wait_until(lambda: len(logged(tmp_path / "log.sqlite")) == 400)
    found = logged(tmp_path / "log.sqlite")
    for name, row in zip(frame["payment_id"], expected, strict=True):
        assert found[name].tobytes() == row.tobytes(), name
    assert sum(metric(one, "fraud_history_missing_total") for one in servers) == 0
    wait_until(lambda: sum(metric(one, "fraud_history_added_total") for one in servers) == 400)


def test_labels_of_one_are_seen_by_all(replicas, tmp_path):
    """One replica applies them, whichever was told: payments that come then have the frauds of the offline pass."""
    _, servers, clients = replicas
    frame = histories.payments(300, seed=8, days=14)
    frame["at"] += pd.Timestamp(time.time() - 600, unit="s", tz="UTC").floor("ms") - frame["at"].iloc[-1]
    frauds = (np.random.default_rng(8).random(300) < 0.4) & (np.arange(300) < 250)
    for start in range(0, 250, 50):
        batch = clients[start // 50 % 2].post("/predict_batch", json={"transactions": calls(frame)[start : start + 50]})
        assert batch.status_code == 200
    wait_until(lambda: len(logged(tmp_path / "log.sqlite")) == 250)
    for place, name in enumerate(frame["payment_id"][frauds]):
        told = clients[place % 2].post("/feedback", json={"transaction_id": name, "is_fraud": True})
        assert told.status_code == 200
    count = (frauds & frame["shop_id"].notna().to_numpy()).sum()
    wait_until(lambda: sum(metric(one, "fraud_history_labels_total") for one in servers) == count, seconds=60)
    for start in (250, 275):
        clients[start // 25 % 2].post("/predict_batch", json={"transactions": calls(frame)[start : start + 25]})
    wait_until(lambda: len(logged(tmp_path / "log.sqlite")) == 300)
    found, expected = logged(tmp_path / "log.sqlite"), offline(frame, frauds).astype(np.float32)[250:]
    assert (expected != offline(frame).astype(np.float32)[250:]).any(axis=1).sum() > 10
    for name, row in zip(frame["payment_id"][250:], expected, strict=True):
        assert found[name].tobytes() == row.tobytes()


def test_no_answer_fails_while_redis_is_away(replicas):
    """All are scored without, and added by who was asked when it is there again."""
    redis, (one, other), (first, second) = replicas
    payments = calls(histories.payments(300, seed=3))
    for payment in payments[:50]:
        sent(first, payment)
    redis.kill()
    for payment in payments[50:100]:
        assert "fraud_probability" in sent(first, payment)
    answer = second.post("/predict_batch", json={"transactions": payments[100:200]})
    assert (answer.status_code, len(answer.json()["predictions"])) == (200, 100)
    wait_until(lambda: metric(one, 'fraud_history_missing_total{reason="broken"}') == 50)
    redis.start()
    wait_until(lambda: metric(one, "fraud_history_pending") + metric(other, "fraud_history_pending") == 0)
    wait_until(lambda: metric(other, "fraud_history_added_total") == 100)
    assert "fraud_probability" in sent(second, payments[200])
    assert "was emptied" in one.log() + other.log()
