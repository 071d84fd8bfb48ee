"""A BentoML or uvicorn in which a private name is gone: calls are answered by what is slower, and the log says why.

A name that is not there is added to a part's list of names (``serving.bento``) in each process of the server.
"""

import json
import os
import subprocess

import httpx
import pytest

from fraud import keys
from tests.components import free_port, wait_until
from tests.e2e.conftest import REPOSITORY, serve_command

pytestmark = pytest.mark.e2e

SAMPLE = json.loads((REPOSITORY / "sample_transaction.json").read_text())
GONE = "bentoml:a_name_that_moved"


def without(part, folder):
    """Settings of a server in which ``part`` cannot be had."""
    (folder / "sitecustomize.py").write_text(f"from serving import bento\nbento.NAMES[{part!r}] += ({GONE!r},)\n")
    return {"PYTHONPATH": f"{folder}{os.pathsep}{REPOSITORY}"}


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("application", "calls are batched by BentoML, and take its path"),
        ("short cut", "/predict takes BentoML's path"),
        ("one write", "answers are sent in two writes"),
        ("revival", "a worker that dies, or stands still, is left to BentoML"),
        ("end", "told to end, this worker does so at once"),
        ("start", "neither a second server nor a missing model is refused before the start"),
        ("log lines", "lines of the log are in BentoML's form, and name no call"),
        ("tracing", "whether spans can be sent is not looked at before the start"),
    ],
)
def test_what_is_slower_serves(start, tmp_path, part, words):
    """The same answers in our words and the same counts; one line says which name is missing."""
    server = start(**without(part, tmp_path))
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        answer = client.post("/predict", json=SAMPLE)
        assert (answer.status_code, answer.json()["is_fraud"]) == (200, False)
        rows = [SAMPLE | {"transaction_id": f"t{number}"} for number in range(3)]
        many = client.post("/predict_batch", json={"transactions": rows}).json()["predictions"]
        assert [one["transaction_id"] for one in many] == ["t0", "t1", "t2"]
        refused = client.post("/predict", json=SAMPLE | {"V1": "x"})
        assert (refused.status_code, refused.json()["error"]) == (
            400,
            "the transaction is not valid: V1 should be a valid number",
        )
        counts = ('fraud_predictions_total{decision="legitimate"} 4.0', 'errors_total{reason="invalid"} 1.0')
        wait_until(lambda: all(count in client.get("/metrics").text for count in counts))
    assert f"{words}: there is no {GONE} any more" in server.log()


RENAMING = """
import importlib.machinery, importlib.util, sys

class Renamed(importlib.machinery.SourceFileLoader):
    def get_code(self, name):
        source = self.get_data(self.path).decode()
        assert {old!r} in source or name != {modules!r}[0]
        return compile(source.replace({old!r}, {new!r}), self.path, "exec")

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name in {modules!r}:
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            return importlib.util.spec_from_file_location(name, spec.origin, loader=Renamed(name, spec.origin))

sys.meta_path.insert(0, Finder())
"""
APP, BASE = "_bentoml_impl.server.app", "bentoml._internal.server.base_app"
INSTRUMENTS = "bentoml._internal.server.http.instruments"


@pytest.mark.parametrize(
    ("modules", "old", "words"),
    [
        ((APP,), "self.dispatchers", "calls are batched by BentoML"),
        ((APP,), "self.enable_metrics", "/predict takes BentoML's path"),
        ((APP, BASE), "self.max_concurrency", "/predict takes BentoML's path"),
        ((INSTRUMENTS,), "self.metrics_request_total", "/predict takes BentoML's path"),
        ((INSTRUMENTS,), "http_response_code", "/predict takes BentoML's path"),
    ],
)
def test_what_bentoml_renames_inside_is_missed_at_the_start(start, tmp_path, modules, old, words):
    """Attributes and labels that only an instance has: calls are answered and counted, the log says it once."""
    (tmp_path / "sitecustomize.py").write_text(RENAMING.format(modules=modules, old=old, new=f"{old}_now"))
    server = start(PYTHONPATH=str(tmp_path))
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        for _ in range(3):
            assert client.post("/predict", json=SAMPLE).status_code == 200

        def counted():
            lines = client.get("/metrics").text.splitlines()
            ours = 'fraud_predictions_total{decision="legitimate"} 3.0' in lines
            return ours and any(
                "request_total" in line and "/predict" in line and line.endswith(" 3.0") for line in lines
            )

        wait_until(counted)
    assert words in server.log()
    assert "could not be brought up to date" not in server.log()


def test_without_the_edge_calls_are_answered_and_the_log_says_what_is_missing(start, tmp_path):
    """Where no keys are set: scores, and refusals with their status in BentoML's words."""
    server = start(**without("edge", tmp_path))
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        assert client.post("/predict", json=SAMPLE).json()["is_fraud"] is False
        refused = client.post("/predict", json=SAMPLE | {"V1": "x"})
        assert refused.status_code == 400
        assert "V1 should be a valid number" in refused.text
    assert f"calls are neither bounded nor counted, errors come in BentoML's words: there is no {GONE}" in server.log()


@pytest.mark.parametrize("name", ["FRAUD_API_KEYS", "FRAUD_METRICS_KEYS"])
def test_keys_that_cannot_be_checked_stop_the_start(store, tmp_path, name):
    """A service that would answer anybody does not start: exit code 1 and one line."""
    _, digest = keys.make()
    env = {**store.copy(tmp_path / "home").env, **without("edge", tmp_path), name: digest}
    done = subprocess.run(
        serve_command(free_port()), cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert f"{name} is set, and keys cannot be checked with this BentoML: there is no {GONE}" in done.stderr
