"""The log of a server as JSON: whatever its processes say is one object a line, from the first to the last."""

import json
import os
import re
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import psutil
import pytest

from tests.components import free_port, wait_until
from tests.e2e.conftest import REPOSITORY, serve_command

pytestmark = pytest.mark.e2e

SAMPLE = json.loads((REPOSITORY / "sample_transaction.json").read_text())
TALKATIVE = """
import sys, threading, warnings
from fraud import features

whole = features.FeaturePath.transform

def fail():
    raise ArithmeticError("in a thread")

class Unraisable:
    def __del__(self):
        raise ArithmeticError("in a finalizer")

def transform(self, rows):
    amount = rows[0, -1]
    if amount == 1001:
        warnings.warn("deprecated, they say")
    if amount == 1002:
        print("printed by a library\\nin two lines")
        print("printed on stderr", file=sys.stderr)
    if amount == 1003:
        threading.Thread(target=fail).start()
    if amount == 1004:
        Unraisable()
    if amount == 1005:
        raise ArithmeticError("in a call")
    return whole(self, rows)

features.FeaturePath.transform = transform
"""
SAID = ("deprecated, they say", "printed by a library", "in two lines", "printed on stderr")
RAISED = ("in a thread", "in a finalizer", "in a call")


def lines(text):
    """Each line as its object; fails on a line that is none, or lacks what each has."""
    found = [json.loads(line) for line in text.splitlines()]
    for one in found:
        assert {"time", "level", "logger", "process", "pid", "message"} <= one.keys(), one
        assert abs(datetime.now(UTC) - datetime.fromisoformat(one["time"])) < timedelta(minutes=30)
        assert "\x1b" not in one["message"]
    return found


@pytest.fixture(scope="module")
def talkative(start, tmp_path_factory):
    """Two workers that say a lot, with BentoML's access log on."""
    folder = tmp_path_factory.mktemp("talkative")
    (folder / "sitecustomize.py").write_text(TALKATIVE)
    (folder / "config.yaml").write_text("services: {fraud_detector: {logging: {access: {enabled: true}}}}\n")
    return start(
        FRAUD_WORKERS="2",
        FRAUD_LOG_FORMAT="json",
        FRAUD_LOG_REFUSED="true",
        BENTOML_CONFIG=str(folder / "config.yaml"),
        PYTHONPATH=f"{folder}:{REPOSITORY}",
    )


def call(server, request_id, **fields):
    headers = {"x-request-id": request_id}
    return httpx.post(f"{server.url}/predict", json=SAMPLE | fields, headers=headers, trust_env=False, timeout=30)


def test_every_line_is_an_object(talkative):
    """Ours, BentoML's, access log, warnings, what is printed, errors of calls, threads, finalizers; to the end."""
    for amount in (1, 1001, 1002, 1003, 1004):
        assert call(talkative, f"id-{amount}", Amount=amount).status_code == 200
    assert call(talkative, "id-1005", Amount=1005).status_code == 500
    assert call(talkative, "bad", V1="x").status_code == 400
    started = '"message": "Service fraud_detector initialized"'
    wait_until(lambda: talkative.log().count(started) == 2, seconds=30)
    wait_until(lambda: '"reason": "invalid"' in talkative.log())  # whoever is killed tells no more
    psutil.Process(talkative.worker_pids()[0]).kill()
    wait_until(lambda: talkative.log().count(started) == 3, seconds=30)
    wait_until(lambda: all(words in talkative.log() for words in (*SAID, *RAISED)))
    os.kill(talkative.pid, signal.SIGTERM)
    wait_until(lambda: talkative.exit_code is not None, seconds=30)
    found = lines(talkative.log())
    assert {one["process"] for one in found} >= {"parent", "worker 1", "worker 2"}
    messages = [one["message"] for one in found]
    for words in SAID:
        assert any(words in message for message in messages), words
    for words in RAISED:
        [one] = [one for one in found if one.get("traceback", "").endswith(f"ArithmeticError: {words}")]
        assert one["traceback"].startswith("Traceback")
    of = {one["request_id"]: one for one in found if one["logger"] == "bentoml.access"}
    assert {"id-1", "id-1005", "bad"} <= of.keys()
    [error] = [one for one in found if one["message"] == "Exception on /predict [POST]"]
    assert error["request_id"] == "id-1005"
    told = {"method": "POST", "path": "/predict", "status": 400, "reason": "invalid", "request_id": "bad"}
    assert any(told.items() <= one.items() for one in found)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"FRAUD_WORKERS": "many"}, "error: FRAUD_WORKERS='many'"),
        ({"FRAUD_MODEL": "fraud_detector:nowhere"}, "error: the model store has no fraud_detector:nowhere"),
    ],
)
def test_a_start_that_is_refused_says_so_in_an_object(store, tmp_path, settings, words):
    """And ends with 1."""
    env = {**store.copy(tmp_path / "home").env, "FRAUD_LOG_FORMAT": "json", **settings}
    done = subprocess.run(
        serve_command(free_port()), env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    last = lines(done.stdout + done.stderr)[-1]
    assert (last["level"], last["process"]) == ("ERROR", "parent")
    assert last["message"].startswith(words)


def test_a_port_that_is_taken_is_said_in_objects(store, tmp_path):
    """The traceback of BentoML's parent is a field."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env = {**store.copy(tmp_path / "home").env, "FRAUD_LOG_FORMAT": "json"}
        command = serve_command(taken.getsockname()[1])
        done = subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert any("Address already in use" in one.get("traceback", "") for one in lines(done.stdout + done.stderr))


def test_as_text_each_line_names_its_process(start):
    """In place of BentoML's ``[:1]``."""
    server = start(FRAUD_WORKERS="2")
    form = r"\S+T\S+\+0000 \[[A-Z]+\] \[(parent|worker \d)\] .+\n"

    def names():
        return {re.fullmatch(form, line)[1] for line in server.log().splitlines(keepends=True) if line.endswith("\n")}

    wait_until(lambda: names() == {"parent", "worker 1", "worker 2"}, seconds=60)


def test_refused_calls_do_not_fill_the_disk(start):
    """Of 1500 in a row some 60 are said one by one; the limit is for each worker."""
    server = start(FRAUD_LOG_FORMAT="json", FRAUD_LOG_REFUSED="true")
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        paths = [f"/{'x' * 5000}/{number}" for number in range(1500)]
        with ThreadPoolExecutor(8) as pool:
            assert {answer.status_code for answer in pool.map(client.get, paths)} == {404}
    told = [one for one in lines(server.log()) if one["logger"] == "bentoml.fraud.refused"]
    assert 60 <= len(told) <= 122  # of two windows, and what they left out
    assert all(len(one["path"]) <= 203 for one in told if "path" in one)
