"""From an alert in a real Alertmanager, through the receiver as a process, to one dispatch at a stand-in for GitHub."""

import os
import re
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.components import Alertmanager, ComponentError, GitHub, Process, answers, free_port, wait_until
from tests.components.github import REPOSITORY, TOKEN
from tests.e2e.conftest import REPOSITORY as CHECKOUT

pytestmark = pytest.mark.e2e

EVERY_SECONDS = 600
CONFIG = """
route:
  receiver: nobody
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1s
  routes:
    - matchers: ['retrain="true"']
      receiver: retrain
receivers:
  - name: nobody
  - name: retrain
    webhook_configs:
      - url: http://127.0.0.1:{port}/alerts
"""
DRIFT = {"alertname": "FraudScoreDrift", "severity": "warning", "retrain": "true", "model_version": "abc"}
RESOLVED = "no firing alert has the label"
SUMMARY = {"summary": "The score's distribution moved: PSI $(id) 0.31"}


class Webhook:
    """``python -m monitoring webhook`` in a folder that keeps its state."""

    def __init__(self, folder, env):
        self.port, self.state = free_port(), folder / "state"
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "monitoring", "webhook", "--port", str(self.port)]
        command += ["--every", f"{EVERY_SECONDS}s", "--state", str(self.state)]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
        self._read = 0
        self.process = Process("webhook", command, folder, env={**clean, **env}, cwd=CHECKOUT)

    def start(self):
        self.process.start(lambda: answers(f"{self.url}/healthz"), seconds=20)

    def restart(self):
        self.process.stop()
        self.start()

    def renew(self):
        """Forget the state, and in ``said`` what the log holds so far."""
        self.process.stop()
        (self.state / "webhook.json").unlink(missing_ok=True)
        self._read = len(self.process.log())
        self.start()

    def said(self, words):
        """How many lines of its log hold this."""
        return sum(words in line for line in self.process.log()[self._read :].splitlines())


@pytest.fixture(scope="module")
def github(tmp_path_factory):
    with GitHub(tmp_path_factory.mktemp("github")) as server:
        yield server


@pytest.fixture(scope="module")
def webhook(github, tmp_path_factory):
    webhook = Webhook(tmp_path_factory.mktemp("webhook"), github.env)
    webhook.start()
    yield webhook
    webhook.process.stop()


@pytest.fixture(scope="module")
def alertmanager(webhook, tmp_path_factory):
    config = CONFIG.format(port=webhook.port)
    with Alertmanager(config, tmp_path_factory.mktemp("alertmanager")) as server:
        yield server


@pytest.fixture
def fresh(github, webhook, alertmanager):
    """Nothing fires, nothing was dispatched."""
    firing = [alert["labels"] for alert in alertmanager.alerts()]
    before = webhook.said(RESOLVED)
    for labels in firing:
        alertmanager.fire(labels, endsAt=past())
    if DRIFT in firing:
        wait_until(lambda: webhook.said(RESOLVED) > before, seconds=20)
    github.restart()
    webhook.renew()
    return alertmanager


def past():
    return (datetime.now(UTC) - timedelta(seconds=1)).isoformat()


def test_an_alert_becomes_one_dispatch_in_spite_of_repeats_and_a_restart(fresh, github, webhook):
    """Alertmanager's own payload, its repeats each second, and a receiver that stops and starts: one retrain."""
    fresh.fire(DRIFT, SUMMARY)
    wait_until(github.taken)
    wait_until(lambda: webhook.said("debounced: FraudScoreDrift") >= 2, seconds=20)
    webhook.restart()
    before = webhook.said("debounced")
    wait_until(lambda: webhook.said("debounced") > before, seconds=20)
    [body] = github.taken()
    cause = body["client_payload"]
    assert body["event_type"] == "retrain"
    assert datetime.fromisoformat(cause.pop("starts_at")) > datetime.now(UTC) - timedelta(minutes=2)
    assert cause == {
        "alert": "FraudScoreDrift",
        "model_version": "abc",
        "severity": "warning",
        "summary": SUMMARY["summary"],
    }


def test_while_github_is_down_nothing_is_lost_and_then_one_arrives(fresh, github, webhook):
    """Alertmanager comes again until GitHub takes it."""
    github.stop()
    fresh.fire(DRIFT, SUMMARY)
    wait_until(lambda: webhook.said("GitHub gave no answer (ConnectError)") >= 2, seconds=20)
    github.start()
    wait_until(github.taken, seconds=20)
    wait_until(lambda: webhook.said("debounced") >= 1, seconds=20)
    assert len(github.taken()) == 1


def test_a_resolved_alert_starts_nothing(fresh, github, webhook):
    """Alertmanager reports the end too, which is no reason."""
    fresh.fire(DRIFT, SUMMARY)
    wait_until(github.taken)
    assert not webhook.said(RESOLVED)
    fresh.fire(DRIFT, SUMMARY, endsAt=past())
    wait_until(lambda: webhook.said(RESOLVED), seconds=20)
    assert len(github.taken()) == 1


def test_an_alert_without_the_label_does_not_even_come(fresh, github, webhook):
    """The route by the label works, as the shipped configuration has it."""
    fresh.fire({"alertname": "FraudServiceDown", "severity": "critical"})
    fresh.fire(DRIFT)
    wait_until(github.taken)
    assert "FraudServiceDown" not in str(github.taken())


def test_the_raw_payload_is_refused_by_the_stand_in(github):
    """What Alertmanager would send without a receiver is no dispatch: 422; without a token: 401."""
    url = f"{github.url}/repos/{REPOSITORY}/dispatches"
    raw = {"version": "4", "status": "firing", "alerts": []}
    token = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.post(url, json=raw, headers=token, trust_env=False).status_code == 422
    assert httpx.post(url, json={"event_type": "retrain"}, trust_env=False).status_code == 401


def test_the_token_is_in_no_log(webhook):
    """After all that was said above."""
    assert REPOSITORY in webhook.process.log()
    assert TOKEN not in webhook.process.log()


SLOW_GITHUB = """
import http.server, time
class Slow(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print("asked", flush=True)
        time.sleep(1.5)
        self.send_response(204)
        self.end_headers()
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"state": "active"}')
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Slow)
print(server.server_port, flush=True)
server.serve_forever()
"""


def test_sigterm_lets_a_call_finish(tmp_path):
    """A notification that is being passed on is answered before the receiver ends, with the shell's 143."""
    slow = Process("slow", [sys.executable, "-c", SLOW_GITHUB], tmp_path)
    slow.start(lambda: slow.log().endswith("\n"), seconds=10)
    url = f"http://127.0.0.1:{slow.log().strip()}"
    webhook = Webhook(tmp_path, {"GITHUB_API_URL": url, "GITHUB_REPOSITORY": "a/b", "GITHUB_TOKEN": "t"})
    try:
        webhook.start()
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(notify, webhook)
            wait_until(lambda: "asked" in slow.log())
            os.kill(webhook.process.pid, signal.SIGTERM)
        assert answer.result() == (200, {"dispatched": True, "reason": "retraining of a/b started, by FraudScoreDrift"})
        assert webhook.process.wait(10) == 143
    finally:
        webhook.process.stop()
        slow.stop()


def notify(webhook):
    """Status and document of the answer to one firing alert."""
    body = {"version": "4", "alerts": [{"status": "firing", "labels": DRIFT, "startsAt": past()}]}
    answer = httpx.post(f"{webhook.url}/alerts", json=body, trust_env=False, timeout=20)
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"GITHUB_REPOSITORY": "nobody"}, "GITHUB_REPOSITORY='nobody': expected OWNER/REPOSITORY"),
        ({"GITHUB_TOKEN_FILE": "/nowhere"}, "GITHUB_TOKEN_FILE='/nowhere': cannot be read"),
    ],
)
def test_a_bad_setting_ends_it_at_the_start(tmp_path, env, words):
    """One line, exit code 1."""
    webhook = Webhook(tmp_path, env)
    with pytest.raises(ComponentError, match="ended with exit code 1"):
        webhook.start()
    assert re.fullmatch(f"error: {re.escape(words)}.*\n", webhook.process.log())


def test_without_a_token_it_runs_and_says_what_it_would_send(tmp_path):
    """A stack that nobody set up for GitHub works, and has no failing notifications."""
    webhook = Webhook(tmp_path, {})
    try:
        webhook.start()
        status, answer = notify(webhook)
    finally:
        webhook.process.stop()
    assert (status, answer["dispatched"]) == (200, False)
    assert webhook.said("are not both set: nothing is sent") == 1
    assert webhook.said('would have sent {"alert": "FraudScoreDrift"') == 1
