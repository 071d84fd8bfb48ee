"""The whole of monitoring at work: a loaded service, Prometheus with the shipped rules, Alertmanager, the retraining
receiver and a stand-in for GitHub. Every rule and panel has data; drift is noticed in time and starts one retraining.
"""

import re
import sys
import threading
import time

import httpx
import numpy as np
import pytest

from fraud import keys
from monitoring.grafana import queries
from tests.components import (
    Alertmanager,
    BentoServer,
    GitHub,
    Process,
    Prometheus,
    answers,
    free_port,
    wait_until,
)
from tests.e2e.conftest import PROMETHEUS, REPOSITORY, quick_config, serve_command
from tests.ulb import COLUMNS
from training import sample

pytestmark = pytest.mark.e2e

KEY, DIGEST = keys.make()
SHORTENED = {"5m": "8s", "10m": "10s", "15m": "11s", "1h": "12s", "6h": "40s", "1d": "24s", "35 * 86400": "35 * 86400"}
"""What a window of the shipped rules becomes here; the names of the rules stay."""
FOR_SECONDS = 4
STATED_SECONDS = 24 + FOR_SECONDS
"""A feature drifts over the day's window, here 24 s, and must have done so for as long as the alert waits."""
SHIFTED = "V14"
DRIFT = ("FraudScoreDrift", "FraudFeatureDrift", "FraudRateJumpedUp", "FraudRateDropped")


def quickened(rules):
    """The rules with seconds in place of minutes, hours and days."""
    rules = re.sub(r"\[(\w+)\]", lambda window: f"[{SHORTENED[window[1]]}]", rules)
    rules = re.sub(r"offset (\w+)", lambda back: f"offset {SHORTENED[back[1]]}", rules)
    rules = re.sub(r"for: \w+", f"for: {FOR_SECONDS}s", rules)
    return re.sub(r"interval: 1m", "interval: 1s", rules)


class Stream(threading.Thread):
    """Transactions like those of the training data, 500 a second, until stopped; ``shift`` moves a feature.

    Every kind of call is in it: single and batched, wrong ones, and labels of what was scored.
    """

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.shift, self.failed = url, 0.0, None
        self._stopping = threading.Event()
        rows = sample.generate(8000, seed=1)[list(COLUMNS)].to_numpy()
        self._rows = rows[: int(0.8 * len(rows))]  # the part that the model was trained on
        self._random = np.random.default_rng(0)
        self._number = 0

    def run(self):
        with httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False, timeout=30
        ) as client:
            try:
                while not self._stopping.wait(0.4):
                    self._send(client)
            except Exception as error:
                self.failed = error
                raise

    def _send(self, client):
        answers = client.post("/predict_batch", json={"transactions": self._take(200)}).raise_for_status().json()
        for row in self._take(3):
            client.post("/predict", json=row).raise_for_status()
        client.post("/predict", json={"V1": 1})
        for answer in answers["predictions"]:
            if answer["is_fraud"]:
                label = {"transaction_id": answer["transaction_id"], "is_fraud": self._random.random() < 0.9}
                client.post("/feedback", json=label).raise_for_status()

    def _take(self, count):
        rows = self._rows[self._random.integers(len(self._rows), size=count)].copy()
        rows[:, COLUMNS.index(SHIFTED)] += self.shift
        taken = []
        for row in rows.tolist():
            self._number += 1
            taken.append(dict(zip(COLUMNS, row, strict=True)) | {"transaction_id": f"s{self._number}"})
        return taken

    def stop(self):
        self._stopping.set()
        self.join(30)


class Stack:
    """All of it, running."""

    def __init__(self, store, tmp_path_factory):
        folder = tmp_path_factory.mktemp("monitoring")
        own, port = store.copy(folder / "home"), free_port()
        env = {
            **own.env,
            "FRAUD_WORKERS": "2",
            "FRAUD_API_KEYS": DIGEST,
            "FRAUD_DATABASE_URL": f"sqlite:///{folder / 'fraud.sqlite'}",
            "FRAUD_LABEL_DELAY_DAYS": str(1 / 86_400),
        }
        self.server = BentoServer(serve_command(port), env, REPOSITORY, port, folder)
        self.github = GitHub(tmp_path_factory.mktemp("github"))
        webhook_port = free_port()
        command = [sys.executable, "-m", "monitoring", "webhook", "--port", str(webhook_port)]
        state = ["--state", str(folder / "state")]
        self.webhook = Process(
            "webhook", [*command, *state], folder, env={**own.env, **self.github.env}, cwd=REPOSITORY
        )
        self._webhook_url = f"http://127.0.0.1:{webhook_port}"
        shipped = (REPOSITORY / "monitoring" / "alertmanager" / "alertmanager.yml").read_text()
        config, changed = re.subn(r"http://retrain-webhook:9095", self._webhook_url, shipped)
        config = re.sub(r"group_(wait|interval): \w+", r"group_\1: 1s", config)
        assert changed == 1
        self.alertmanager = Alertmanager(config, tmp_path_factory.mktemp("alertmanager"))
        self.prometheus = Prometheus(
            quick_config(),
            tmp_path_factory.mktemp("prometheus"),
            PROMETHEUS,
            [port],
            [self.alertmanager.port],
            quickened,
        )
        self.stream = Stream(self.server.url)

    def start(self):
        self.server.start()
        self.github.start()
        self.webhook.start(lambda: answers(f"{self._webhook_url}/healthz"), seconds=20)
        self.alertmanager.start()
        self.prometheus.start()
        self.stream.start()

    def stop(self):
        self.stream.stop()
        for part in (self.prometheus, self.alertmanager, self.webhook, self.github):
            part.stop()
        self.server.terminate()

    def firing(self, names=DRIFT):
        """Names of those of these alerts that Prometheus has firing."""
        return {one["metric"]["alertname"] for one in self.prometheus.query('ALERTS{alertstate="firing"}')} & set(names)


@pytest.fixture(scope="module")
def stack(store, tmp_path_factory):
    stack = Stack(store, tmp_path_factory)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
    assert stack.stream.failed is None


@pytest.fixture(scope="module")
def steady(stack):
    """The stack after its longest window is full of transactions like those of the training data."""
    seen = set()

    def full():
        seen.update(stack.firing())
        rows = stack.prometheus.query('fraud:feature_psi:1d{feature="score"}')
        return bool(rows) and stack.prometheus.query("fraud:fraud_ratio:1d offset 12s")

    wait_until(full, seconds=90, every_seconds=1)
    ends = time.monotonic() + STATED_SECONDS
    while time.monotonic() < ends:
        seen.update(stack.firing())
        time.sleep(1)
    stack.seen_while_steady = seen
    return stack


def test_the_steady_stream_raises_no_alert(steady):
    """For longer than drift takes to be noticed, nothing about drift or the fraud rate fires; nor a failure."""
    assert steady.seen_while_steady == set()
    assert (
        steady.firing(
            [
                "FraudServiceDown",
                "FraudMetricsMissing",
                "FraudErrorRatioHigh",
                "FraudWorkersMissing",
                "FraudLogDropping",
            ]
        )
        == set()
    )
    assert steady.github.taken() == []


def test_every_rule_is_loaded_and_healthy(steady):
    """Prometheus evaluates each rule without an error, and each recorded one has data."""
    rules = [rule for group in steady.prometheus.rules() for rule in group["rules"]]
    assert {(rule["name"], rule["health"]) for rule in rules if rule["health"] != "ok"} == set()
    recorded = {rule["name"] for rule in rules if rule["type"] == "recording"}
    assert {name for name in recorded if not steady.prometheus.query(name)} == set()


def test_the_stability_index_is_the_one_of_the_counts(steady):
    """What the rule records equals the formula, worked out here from the same counters and the model's reference."""
    window = SHORTENED["1d"]
    counted = f"sum by (feature, bin) (increase(fraud_feature_bin_total[{window}]))"
    found = {
        (one["metric"]["feature"], one["metric"]["bin"]): float(one["value"][1])
        for one in steady.prometheus.query(counted)
    }
    reference = {
        (one["metric"]["feature"], one["metric"]["bin"]): float(one["value"][1])
        for one in steady.prometheus.query("max by (feature, bin) (fraud_feature_reference_ratio)")
    }
    for one in steady.prometheus.query("fraud:feature_psi:1d"):
        name = one["metric"]["feature"]
        bins = [key for key in found if key[0] == name]
        total = sum(found[key] for key in bins)
        actual = np.maximum([found[key] / total for key in bins], 1e-4)
        expected = np.maximum([reference[key] for key in bins], 1e-4)
        index = float(((actual - expected) * np.log(actual / expected)).sum())
        assert float(one["value"][1]) == pytest.approx(index, abs=0.02)


def test_a_shifted_stream_is_noticed_in_time_and_starts_one_retraining(steady):
    """Within the window and the alert's wait the shifted feature fires, and reaches Alertmanager and receiver; GitHub
    is asked once, however many alerts there are."""
    steady.stream.shift = 15.0
    started = time.monotonic()
    fired = f'ALERTS{{alertname="FraudFeatureDrift", feature="{SHIFTED}", alertstate="firing"}}'
    wait_until(lambda: steady.prometheus.query(fired), seconds=STATED_SECONDS + 5)
    assert time.monotonic() - started < STATED_SECONDS + 5
    wait_until(steady.github.taken, seconds=30)
    names = {alert["labels"]["alertname"] for alert in steady.alertmanager.alerts()}
    assert "FraudFeatureDrift" in names
    time.sleep(3)
    [dispatch] = steady.github.taken()
    assert dispatch["event_type"] == "retrain"
    assert dispatch["client_payload"]["alert"] in ("FraudFeatureDrift", "FraudScoreDrift")


OF_OTHERS = ("fraud_unseen_levels_total", '{bin="(unseen)"', "fraud_history_keys", "fraud_history_bytes")
"""What is empty where the model has no category and no history, as here: other tests have data."""
ASKED = [one for one in queries.queries(queries.load()) if not any(words in one.expr for words in OF_OTHERS)]


@pytest.mark.parametrize("panel", ASKED, ids=lambda panel: f"{panel.panel}: {panel.legend}")
def test_every_panel_has_data(steady, panel):
    """Each query of the dashboard, as Grafana would send it, returns something; the last alert is firing by then."""
    asked = queries.filled(panel.expr, window="10s")
    wait_until(lambda: steady.prometheus.query(asked), seconds=20)
