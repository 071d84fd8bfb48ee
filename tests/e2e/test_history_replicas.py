"""Two replicas that share histories in Redis, over HTTP: equal to the offline pass, whoever is asked."""

import os
import shutil
from contextlib import ExitStack

import httpx
import numpy as np
import pytest

from tests import histories
from tests.components import BentoServer, Redis, free_port, wait_until
from tests.e2e.conftest import PATIENT, REPOSITORY, serve_command
from tests.e2e.test_history import calls, folder, logged, metric, offline, scores, sent  # noqa: F401 - a fixture

pytestmark = pytest.mark.e2e


@pytest.fixture
def replicas(folder, tmp_path):  # noqa: F811
    """Two, each with a log of its own, and their Redis."""
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
                "FRAUD_DATABASE_URL": f"sqlite:///{own / 'log.sqlite'}",
            }
            servers.append(stack.enter_context(BentoServer(serve_command(port), env, REPOSITORY, port, own)))
        yield redis, *servers


def test_replicas_see_what_the_others_added(replicas, folder, tmp_path):  # noqa: F811
    """To the bit: in turn, one by one and in batches, some sent twice, without a label or with."""
    _, *servers = replicas
    frame = histories.payments(400, seed=2)
    payments, expected = calls(frame), offline(frame).astype(np.float32)
    with ExitStack() as stack:
        clients = [stack.enter_context(httpx.Client(base_url=one.url, trust_env=False, timeout=30)) for one in servers]
        answers = []
        for place, payment in enumerate(payments[:200]):
            answers.append(sent(clients[place % 2], payment))
            if place % 20 == 0:
                assert sent(clients[1 - place % 2], payment) == answers[-1]
        for start in (200, 300):
            body = {"transactions": payments[start : start + 100]}
            answers += clients[start // 100 % 2].post("/predict_batch", json=body).json()["predictions"]
    assert [one["fraud_probability"] for one in answers] == scores(folder, frame)
    paths = [tmp_path / name / "log.sqlite" for name in ("one", "other")]
    wait_until(lambda: len(logged(paths[0]) | logged(paths[1])) == 400)
    found = logged(paths[1]) | logged(paths[0])
    for name, row in zip(frame["payment_id"], expected, strict=True):
        assert found[name].tobytes() == row.tobytes(), name
    assert sum(metric(one, "fraud_history_missing_total") for one in servers) == 0
    wait_until(lambda: sum(metric(one, "fraud_history_added_total") for one in servers) == 400)


def test_no_answer_fails_while_redis_is_away(replicas):
    """All are scored without, and added by who was asked when it is there again."""
    redis, one, other = replicas
    payments = calls(histories.payments(300, seed=3))
    with (
        httpx.Client(base_url=one.url, trust_env=False, timeout=30) as first,
        httpx.Client(base_url=other.url, trust_env=False, timeout=30) as second,
    ):
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
