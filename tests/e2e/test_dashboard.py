"""The picture of the dashboard's data, from a real Prometheus that scrapes a real service by the shipped rules."""

import re
import subprocess
import sys
import threading

import httpx
import matplotlib.image
import pytest

from tests.components import Prometheus, wait_until
from tests.e2e.conftest import PROMETHEUS, REPOSITORY, quick_config
from tests.ulb import COLUMNS
from training import sample

pytestmark = pytest.mark.e2e

EMPTY = {  # the service of this test has no database, its model no category and no history, and nothing is wrong
    "Texts that the model does not know",
    "Live precision",
    "Live recall",
    "Judged transactions by outcome",
    "Precision for sure",
    "Transactions judged",
    "Transactions labelled",
    "Label delay",
    "Firing alerts",
    "Memory of histories",
    "How late labels are",
    "Labels after their delay",
}


@pytest.fixture(scope="module")
def watched(server, tmp_path_factory):
    """The shipped configuration and rules, every second, with our server as the target."""
    folder = tmp_path_factory.mktemp("watched")

    def quick(rules):
        rules = rules.replace("increase1d offset 1d", "increase1d offset 1s")  # a version's first day is soon over
        return re.sub(r"interval: 1m", "interval: 1s", rules)

    prometheus = Prometheus(quick_config(), folder, PROMETHEUS, [server.port], rewrite=quick)
    with prometheus:
        wait_until(lambda: prometheus.query('up{job="fraud-detector"} == 1'), seconds=20)
        rows = sample.generate(2500, seed=5, fraud_share=0.05)[list(COLUMNS)].to_numpy().tolist()
        batch = {"transactions": [dict(zip(COLUMNS, row, strict=True)) for row in rows]}
        httpx.post(f"{server.url}/predict_batch", json=batch, trust_env=False, timeout=30).raise_for_status()
        for seen in (
            "bentoml_service_adaptive_batch_size_count",
            "fraud:batch_size:mean5m",
        ):  # a rate needs two scrapes
            for row in batch["transactions"][:20]:
                httpx.post(f"{server.url}/predict", json=row, trust_env=False).raise_for_status()
            wait_until(lambda seen=seen: prometheus.query(seen), seconds=30)
        wait_until(lambda: prometheus.query("fraud:feature_psi:whole1d"), seconds=30)
        wait_until(lambda: prometheus.query("fraud:fraud_ratio:1d > 0"), seconds=30)
        yield prometheus


@pytest.fixture
def busy(watched, server):
    """The same while transactions are scored: the window of this server's fraud rate is short."""
    row = dict(zip(COLUMNS, sample.generate(2500, seed=5)[list(COLUMNS)].to_numpy().tolist()[0], strict=True))
    stop = threading.Event()

    def call():
        while not stop.wait(0.2):
            httpx.post(f"{server.url}/predict", json=row, trust_env=False)

    caller = threading.Thread(target=call, daemon=True)
    caller.start()
    wait_until(lambda: watched.query("sum(fraud_window_scored) > 0"), seconds=20)
    yield watched
    stop.set()
    caller.join(10)


def picture(prometheus, output, *options):
    command = [sys.executable, "-m", "benchmarks.panels", "--prometheus", prometheus.url, "--last", "2m"]
    return subprocess.run(
        [*command, "--output", str(output), *options], cwd=REPOSITORY, capture_output=True, text=True, timeout=120
    )


def test_the_picture_is_drawn_and_empty_panels_are_named(busy, tmp_path):
    """Only those about the database, categories and firing alerts are; that is an error when data is required."""
    done = picture(busy, tmp_path / "a.png", "--require-data")
    empty = set(re.findall(r"^no data: (.+)$", done.stderr, re.M))
    assert done.returncode == 1
    assert empty == EMPTY
    assert matplotlib.image.imread(tmp_path / "a.png").shape[0] > 1000


def test_empty_panels_are_no_error_unless_data_is_required(busy, tmp_path):
    """They are named all the same."""
    done = picture(busy, tmp_path / "a.png")
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"^no data: (.+)$", done.stderr, re.M)) == EMPTY


def test_a_prometheus_that_is_not_there_is_one_clear_line(tmp_path):
    """No traceback, no picture."""
    command = [sys.executable, "-m", "benchmarks.panels", "--prometheus", "http://127.0.0.1:9", "--output"]
    done = subprocess.run(
        [*command, str(tmp_path / "a.png")], cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: http://127.0.0.1:9 does not answer as Prometheus does")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
