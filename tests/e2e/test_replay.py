"""The replay of labelled rows: beside a running service, which it leaves alone, and into one."""

import json
import os
import subprocess
import sys

import httpx
import pytest

from fraud import keys
from tests import two_businesses
from tests.components import BentoServer, free_port, wait_until
from tests.e2e.conftest import REPOSITORY, run, serve_command

pytestmark = pytest.mark.e2e

KEY, DIGEST = keys.make()
OWN = ("fraud_workers_configured", "fraud_threshold", "fraud_model_info", "fraud_predictions_total")


@pytest.fixture(scope="module")
def running(store, tmp_path_factory):
    """A service with keys and a database that judges six seconds after a score, and its BENTOML_HOME."""
    folder, port = tmp_path_factory.mktemp("running"), free_port()
    own = store.copy(folder / "home")
    settings = {
        "FRAUD_WORKERS": "2",
        "FRAUD_API_KEYS": DIGEST,
        "FRAUD_DATABASE_URL": f"sqlite:///{folder}/fraud.sqlite",
        "FRAUD_LABEL_DELAY_DAYS": str(6 / 86_400),
    }
    with BentoServer(serve_command(port), own.env | settings, REPOSITORY, port, folder) as server:
        yield server, own.home


def replay(home, *options, key="", **more):
    """What the command says on the rows that the store's model was tested on."""
    command = [sys.executable, "-m", "benchmarks.replay", "--data", "sample:8000", "--seconds", "2", "--delay", "3"]
    shell = {"FRAUD_METRICS_KEYS": DIGEST}  # of another service
    env = {**os.environ, **shell, "BENTOML_HOME": str(home), "KEY": key, **more}
    return subprocess.run([*command, *options], cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=300)


def own_series(server):
    text = httpx.get(f"{server.url}/metrics", trust_env=False).text
    return [line for line in text.splitlines() if line.startswith(OWN)]


def test_beside_a_running_service_it_leaves_that_ones_metrics_alone(running):
    """Live figures end at the offline ones, in a service with a home of its own: no count of it appears here."""
    server, home = running
    before = own_series(server)
    done = replay(home)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["equal"] is True
    assert own_series(server) == before
    assert len(before) >= len(OWN)
    wait_until(lambda: "\nfraud_workers_ready 2.0\n" in httpx.get(f"{server.url}/metrics", trust_env=False).text)


def test_rows_of_another_schema_are_replayed(tmp_path):
    """Texts, gaps, times and keys as a caller sends them; live figures end at the offline ones all the same."""
    home, toml, file = tmp_path / "home", tmp_path / "cards.toml", tmp_path / "cards.csv"
    toml.write_text(two_businesses.CARDS)
    two_businesses.cards(4_000, seed=2).to_csv(file, index=False)
    env = {**os.environ, "BENTOML_HOME": str(home), "FRAUD_KEY_SECRET": "what keys are hashed with, forty letters"}
    options = ("--data", str(file))
    run([sys.executable, "-m", "training", "run", *options, "--schema", str(toml), "--trees", "20"], env)
    done = replay(home, *options, FRAUD_KEY_SECRET=env["FRAUD_KEY_SECRET"])
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["equal"], told["offline"]["true_positive"] > 5) == (True, True)


def test_a_running_service_is_replayed_into_as_often_as_one_likes(running):
    """Its counts grow by the offline ones each time."""
    server, home = running
    for _ in range(2):
        done = replay(home, "--url", server.url, key=KEY)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["equal"] is True


@pytest.mark.parametrize(
    ("options", "key", "words"),
    [
        ((), "", "error: the service does not take the key; put one of its keys in KEY"),
        (("--delay", "7"), KEY, "error: the service takes labels and judges a prediction after 6 s"),
        (("--url", "http://127.0.0.1:9"), KEY, "error: http://127.0.0.1:9 does not answer"),
    ],
    ids=["no-key", "late-labels", "nobody-there"],
)
def test_a_service_that_cannot_judge_the_rows_is_refused(running, options, key, words):
    """In one line, before a row is sent."""
    server, home = running
    before = own_series(server)
    done = replay(home, "--url", server.url, *options, key=key)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(words)
    assert own_series(server) == before


def test_a_service_with_closed_metrics_is_refused(store, start):
    """The live figures could not be read."""
    server = start(FRAUD_API_KEYS=DIGEST, FRAUD_METRICS_KEYS=keys.make()[1])
    done = replay(store.home, "--url", server.url, key=KEY)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: the service asks for another key for /metrics; start it")
