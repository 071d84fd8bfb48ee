"""Bins of no more than two model versions over real processes: in their files, and on the page that is scraped."""

import os
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.multiprocess import MultiProcessCollector

from fraud.manifest import Manifest
from monitoring import multiprocess
from monitoring.bins import metrics as bins
from monitoring.metrics import FraudMetrics
from tests import manifests
from tests.monitoring.worker_process import Worker

ROOT = Path(__file__).parents[3]
WORKER = """
import numpy as np
from fraud.manifest import Manifest
from monitoring.metrics import FraudMetrics
from tests import manifests

metrics = FraudMetrics(3600)

def describe(version):
    metrics.describe_model(Manifest(**manifests.document(model_version=version)))

def score(rows):
    scores = np.zeros(rows)
    features = np.zeros((rows, 2), np.float32)
    metrics.observe_scores(features * 1.0, features, scores, scores > 0.5, scores)
    metrics.flush()

commands = {"describe": describe, "score": score, "tidy": metrics._tidy}
"""


@pytest.fixture
def start(tmp_path):
    """Starts a worker on the one folder of metrics."""
    started = []

    def start_it():
        started.append(Worker(tmp_path, WORKER))
        return started[-1]

    yield start_it
    for worker in started:
        worker.end()


def page(folder):
    """What a scrape shows: rows counted in V1's bins, and the sum of its shares, by model version."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))
    found = {}
    for sample in (sample for metric in registry.collect() for sample in metric.samples):
        if sample.labels.get("feature") == "V1":
            of = found.setdefault(sample.labels["model_version"], {})
            of[sample.name] = of.get(sample.name, 0) + sample.value
    counted, shares = "fraud_feature_bin_total", "fraud_feature_reference_ratio"
    return {version: (of.get(counted), round(of.get(shares, 0), 9)) for version, of in found.items()}


def test_two_workers_show_two_versions(start, tmp_path):
    """Counts are added up, shares are not, and a version that no worker keeps is gone in both metrics."""
    workers = [start(), start()]
    for version, rows in (("v1", 1), ("v2", 10), ("v3", 100)):
        for worker in workers:
            worker("describe", version)
            worker("score", rows)
    assert page(tmp_path) == {"v2": (20, 1), "v3": (200, 1)}


def test_one_that_lags_keeps_its_own(start, tmp_path):
    """Nobody takes a file from a worker that lives; when it follows, its old ones go."""
    first, second = start(), start()
    for worker in (first, second):
        worker("describe", "v1")
        worker("score", 1)
    for version in ("v2", "v3"):
        first("describe", version)
    assert page(tmp_path) == {"v1": (1, 1), "v2": (0, 1), "v3": (0, 1)}
    second("score", 1)
    assert page(tmp_path)["v1"] == (2, 1)
    for version in ("v2", "v3"):
        second("describe", version)
    assert set(page(tmp_path)) == {"v2", "v3"}


def test_what_a_dead_worker_counted_stays_while_its_version_is_kept(start, tmp_path):
    """As all counts do; afterwards a worker that lives removes it."""
    first, second = start(), start()
    for worker in (first, second):
        worker("describe", "v1")
        worker("score", 7)
    second.end()
    first("describe", "v2")
    first("tidy")
    assert page(tmp_path)["v1"] == (14, 1)
    first("describe", "v3")
    assert page(tmp_path) == {"v2": (0, 1), "v3": (0, 1)}


def test_a_worker_that_is_started_anew_keeps_the_version_before(start, tmp_path):
    """It finds it on the disk, as what was written to last; what was emptied already does not count as that."""
    first = start()
    for version in ("v1", "v2", "v3"):
        first("describe", version)
        first("score", 1)
        time.sleep(0.02)
    first.end()
    second = start()
    second("describe", "v3")
    for _ in range(2):
        second("tidy")
    assert page(tmp_path) == {"v2": (1, 1), "v3": (1, 1)}
    second("describe", "v4")
    assert page(tmp_path) == {"v3": (1, 1), "v4": (0, 1)}


def test_files_do_not_grow_with_the_models_served(start, tmp_path):
    """Neither in number nor in size, once those that nobody reads any more are old enough to be deleted."""
    worker = start()

    def serve(version):
        worker("describe", version)
        worker("score", 1)
        for path in tmp_path.iterdir():
            os.utime(path, (1, 1))  # as if a minute had passed
        worker("tidy")
        return len(list(tmp_path.iterdir())), sum(path.stat().st_size for path in tmp_path.iterdir())

    few = [serve(f"v{number}") for number in range(3)][-1]
    assert [serve(f"v{number}") for number in range(3, 12)][-1] == few


def test_a_file_is_emptied_first_and_deleted_later(tmp_path, monkeypatch):
    """A scrape that has listed it opens it: that must not fail."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(multiprocess, "_alive", lambda _: False)
    own = multiprocess.OwnFiles("v1")
    metrics = [
        Counter("c", "C.", ["x"], registry=None),
        Gauge("g", "G.", ["x"], registry=None, multiprocess_mode="max"),
    ]
    for metric in metrics:
        own.series(metric, ("1",)).inc(3)
    own.close()
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == [f"counter_{os.getpid()}_v1.db", f"gauge_max_{os.getpid()}_v1.db"]
    assert sum(len(metric.samples) for metric in MultiProcessCollector.merge(map(str, files))) == 2
    for _ in range(2):
        multiprocess.retire(["v2"])
        assert sum(len(metric.samples) for metric in MultiProcessCollector.merge(map(str, files))) == 0
    for path in files:
        os.utime(path, (1, 1))
    multiprocess.retire(["v2"])
    assert list(tmp_path.iterdir()) == []


def test_no_other_file_is_touched(tmp_path, monkeypatch):
    """Those of prometheus_client itself, whatever process they are of."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(multiprocess, "_alive", lambda _: False)
    names = ["counter_7.db", "histogram_7.db", "gauge_livesum_7.db", "gauge_max_7.db", "fraud_heart_7", "x_7_v1.db"]
    for name in names:
        (tmp_path / name).write_bytes(b"\1" * 100)
    multiprocess.retire([])
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"\1" * 100}
    assert multiprocess.versions() == []


def gone_function(monkeypatch):
    monkeypatch.delattr("prometheus_client.values.MultiProcessValue")


class Other:
    """A gauge that keeps what it is elsewhere."""

    _multiprocess_mode = "max"

    def __init__(self, *_, **__):
        pass


def gone_name(monkeypatch):
    monkeypatch.setattr(bins, "Gauge", Other)


@pytest.mark.parametrize("change", [gone_function, gone_name])
def test_a_prometheus_client_that_is_another_inside_is_said(monkeypatch, caplog, change):
    """One line of the log; what follows is prometheus_client's own, which removes nothing among several workers."""
    change(monkeypatch)
    FraudMetrics(60, CollectorRegistry())
    assert [message for message in caplog.messages if "stay on the page" in message]


def test_without_what_is_private_bins_are_counted_all_the_same(tmp_path, monkeypatch):
    """And nothing of the folder is asked for."""
    monkeypatch.setattr(multiprocess, "problem_of_series", lambda *_: "gone")
    monkeypatch.setattr(multiprocess, "OwnFiles", None)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    registry = CollectorRegistry()
    metrics = FraudMetrics(60, registry)
    for version in ("v1", "v2", "v3"):
        metrics.describe_model(manifest_of(version))
    found = [sample for metric in registry.collect() for sample in metric.samples if "feature_bin" in sample.name]
    assert {sample.labels["model_version"] for sample in found} == {"v1", "v2", "v3"}


def manifest_of(version):
    return Manifest(**manifests.document(model_version=version))


def test_a_version_that_was_removed_may_come_back(start, tmp_path):
    """Its counts start again, as those of a worker that is started anew do."""
    worker = start()
    for version, rows in (("v1", 5), ("v2", 6), ("v3", 7), ("v1", 8)):
        worker("describe", version)
        worker("score", rows)
    assert page(tmp_path) == {"v3": (7, 1), "v1": (8, 1)}
