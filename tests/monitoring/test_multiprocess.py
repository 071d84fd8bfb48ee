"""Private names of prometheus_client: there, or missed at the start; then the slow path is as exact, and said once.

That counts are exact over real processes is shown in test_metrics.py.
"""

import logging
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import prometheus_client.multiprocess
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from monitoring import metrics as published
from monitoring import multiprocess
from monitoring.metrics import FraudMetrics
from monitoring.multiprocess import parts_of, problem_of_files, remove_stale_workers, sums_of_others
from monitoring.pending import Pending
from monitoring.window import FLAGGED, SCORED
from serving.bento import RequestSeries
from serving.counts import BuiltinCounts

ROOT = Path(__file__).parents[2]
PARTS = ("_upper_bounds", "_buckets", "_sum")
VALUES = [0.1, 0.5, 0.5001, 1.0, 7.0]


class Without:
    """A histogram that keeps one of its parts elsewhere; what is public works."""

    def __init__(self, gone, histogram):
        self._gone, self._histogram = gone, histogram

    def __getattr__(self, name):
        if name == self._gone:
            raise AttributeError(f"no attribute {name!r}")
        return getattr(self._histogram, name)


def histogram(registry=None):
    return Histogram("h", "h", buckets=(0.5, 1.0), registry=registry)


def value(registry, name, **labels):
    return registry.get_sample_value(name, labels)


# --- the parts of a histogram


def test_the_parts_are_there():
    """With the prometheus_client that is pinned: edges but for the last, which is open, and a number a bucket."""
    parts = parts_of(histogram())
    assert parts.edges == [0.5, 1.0]
    assert len(parts.buckets) == 3


@pytest.mark.parametrize("gone", PARTS)
def test_a_part_that_is_gone_is_said(gone):
    """The reason names it."""
    with pytest.raises(LookupError, match=gone):
        parts_of(Without(gone, histogram()))


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("_upper_bounds", [0.5, 1.0]),
        ("_upper_bounds", [1.0, 0.5, math.inf]),
        ("_upper_bounds", []),
        ("_upper_bounds", None),
        ("_upper_bounds", ["low", "high", "open"]),
        ("_buckets", [1, 2, 3]),
        ("_buckets", []),
        ("_sum", 0.0),
    ],
)
def test_parts_of_another_shape_are_said(name, changed):
    """A name that is still there may stand for something else."""
    other = histogram()
    setattr(other, name, changed)
    with pytest.raises(LookupError, match="another inside"):
        parts_of(other)


@pytest.mark.parametrize("gone", [None, *PARTS])
def test_values_are_counted_exactly_either_way(gone):
    """The fast path and the slow one give the same buckets and sum, at the hand-over and not before, and once."""
    registry = CollectorRegistry()
    pending = Pending(Without(gone, histogram(registry)))
    assert (pending.problem is None) == (gone is None)
    pending.add(VALUES[:2])
    pending.add(np.array(VALUES[2:]))
    assert value(registry, "h_count") == 0
    for _ in range(2):
        pending.hand_over()
    assert [value(registry, "h_bucket", le=edge) for edge in ("0.5", "1.0", "+Inf")] == [2, 4, 5]
    assert value(registry, "h_sum") == pytest.approx(sum(VALUES))


@pytest.mark.parametrize("gone", PARTS)
def test_the_service_counts_exactly_without_them(monkeypatch, caplog, gone):
    """Calls, scores and BentoML's own series are exact, nothing is raised, and one line of the log says why."""
    monkeypatch.setattr(published, "Histogram", lambda *args, **named: Without(gone, Histogram(*args, **named)))
    registry = CollectorRegistry()
    metrics = FraudMetrics(60, registry)
    sizes, seconds = (Histogram(name, "x", buckets=(1, 8), registry=registry) for name in ("sizes", "seconds"))
    gauges = [Gauge(name, "x", registry=registry) for name in ("in_progress", "last")]
    total = Counter("calls", "x", registry=registry)
    counts = BuiltinCounts(
        RequestSeries(*gauges, lambda _: total, lambda _: Without(gone, seconds), Without(gone, sizes))
    )
    metrics.flush_with(counts.flush)
    with caplog.at_level(logging.INFO, "bentoml.fraud"):
        metrics.start(2)
        for number in (1, 3, 100):
            counts.sized(number)
            counts.answered(200, 0.5 * number)
            metrics.observe_call(0.002, None)
            scores = np.full(number, 0.3)
            metrics.observe_scores(
                np.zeros((number, 1)), np.zeros((number, 1), np.float32), scores, scores > 0.2, scores
            )
            metrics.flush()
        metrics.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"histograms are given their values one by one: a histogram of prometheus_client is another inside: "
        f"no attribute '{gone}'"
    ]
    assert value(registry, "fraud_score_count") == value(registry, "fraud_score_bucket", le="0.3") == 104
    assert value(registry, "fraud_score_bucket", le="0.2") == 0
    assert value(registry, "fraud_score_sum") == pytest.approx(104 * 0.3)
    assert value(registry, "fraud_prediction_latency_seconds_bucket", le="0.0025") == 3
    assert value(registry, "sizes_sum") == 104
    assert [value(registry, "sizes_bucket", le=edge) for edge in ("1.0", "8.0", "+Inf")] == [1, 2, 3]
    assert [value(registry, "seconds_bucket", le=edge) for edge in ("1.0", "8.0", "+Inf")] == [1, 2, 3]
    assert value(registry, "calls_total") == 3


# --- the files of live gauges


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of metrics with the files of this process and of two others that live."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(multiprocess, "_alive", lambda _: True)
    for pid, scored, flagged in ((os.getpid(), 1000, 1000), (1, 10, 1), (2, 20, 3)):
        write(tmp_path / f"gauge_livesum_{pid}.db", **{SCORED: scored, FLAGGED: flagged})
    return tmp_path


def write(path, **gauges):
    """As prometheus_client does."""
    file = MmapedDict(str(path))
    for name, number in gauges.items():
        file.write_value(mmap_key(name, name, (), (), "Help."), number, 0.0)
    file.close()


@pytest.fixture
def running(caplog):
    """Makes metrics of one of so many workers, with 10 rows of which 4 are flagged, flushed three times."""
    made = []

    def run(workers):
        registry = CollectorRegistry()
        metrics = FraudMetrics(60, registry)
        made.append(metrics)
        flagged = np.arange(10) < 4
        with caplog.at_level(logging.INFO, "bentoml.fraud"):
            metrics.start(workers)
            features = np.zeros((10, 1), np.float32)
            metrics.observe_scores(np.zeros((10, 1)), features, flagged * 1.0, flagged, flagged * 1.0)
            for _ in range(3):
                metrics.flush()
        return registry

    yield run
    for metrics in made:
        metrics.close()


def test_the_others_are_added_up(place, running, caplog):
    """Without this process' own file, which may be gone; nothing is said in the log."""
    assert sums_of_others() == {SCORED: 30, FLAGGED: 4}
    assert value(running(3), "fraud_rate") == (4 + 4) / (10 + 30)
    assert caplog.messages == []


def test_in_a_single_process_there_are_no_others(monkeypatch):
    """And so no problem with their files."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    monkeypatch.delattr(prometheus_client.multiprocess.MultiProcessCollector, "merge")
    assert sums_of_others() == {}
    assert problem_of_files(SCORED) is None


def gone_module(monkeypatch, _):
    monkeypatch.setitem(sys.modules, "prometheus_client.multiprocess", None)


def gone_class(monkeypatch, _):
    monkeypatch.delattr(prometheus_client.multiprocess, "MultiProcessCollector")


def gone_merge(monkeypatch, _):
    monkeypatch.delattr(prometheus_client.multiprocess.MultiProcessCollector, "merge")


def other_arguments(monkeypatch, _):
    monkeypatch.setattr(prometheus_client.multiprocess.MultiProcessCollector, "merge", lambda: ())


def other_values(monkeypatch, _):
    monkeypatch.setattr(prometheus_client.multiprocess.MultiProcessCollector, "merge", lambda _: ["text"])


def other_content(monkeypatch, _):
    monkeypatch.setattr(prometheus_client.multiprocess.MultiProcessCollector, "merge", lambda _: ())


def other_names(_, place):
    for path in place.iterdir():
        path.rename(path.with_name(path.name.replace("gauge_", "gauges-")))


CHANGES = {
    gone_module: "prometheus_client.multiprocess",
    gone_class: "MultiProcessCollector",
    gone_merge: "merge",
    other_arguments: "in another way",
    other_values: "in another way",
    other_content: SCORED,
    other_names: f"gauge_livesum_{os.getpid()}.db",
}


@pytest.mark.parametrize(("change", "words"), CHANGES.items(), ids=[change.__name__ for change in CHANGES])
def test_files_that_cannot_be_read_make_no_wrong_rate(place, running, caplog, monkeypatch, change, words):
    """Among several workers the rate is NaN, all else is counted, and one line of the log says why."""
    change(monkeypatch, place)
    registry = running(2)
    assert math.isnan(value(registry, "fraud_rate"))
    assert value(registry, "fraud_window_scored") == value(registry, "fraud_score_count") == 10
    [message] = caplog.messages
    assert message.startswith("fraud_rate is not known (NaN)")
    assert words in message


@pytest.mark.parametrize("change", CHANGES)
def test_a_single_worker_has_a_rate_all_the_same(place, running, caplog, monkeypatch, change):
    """Its own is the whole."""
    change(monkeypatch, place)
    assert value(running(1), "fraud_rate") == 0.4
    [message] = caplog.messages
    assert message.startswith("fraud_rate is this worker's own")


def test_a_folder_that_was_emptied_is_no_problem(place):
    """A server that starts on the same BENTOML_HOME empties it."""
    (place / f"gauge_livesum_{os.getpid()}.db").unlink()
    assert problem_of_files(SCORED) is None
    for path in place.iterdir():
        path.unlink()
    assert problem_of_files(SCORED) is None


def test_a_real_process_finds_its_own_gauge(tmp_path):
    """With the prometheus_client that is pinned nothing is found wrong, and a gauge that is not there is missed."""
    code = (
        "from monitoring.metrics import FraudMetrics; from monitoring.multiprocess import problem_of_files as problem;"
        f"FraudMetrics(60); print(problem('{SCORED}'), problem('nothing'), sep='|')"
    )
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    found, missed = done.stdout.strip().split("|")
    assert found == "None", done.stderr
    assert "there is no nothing in gauge_livesum_" in missed


NAMES = [f"{kind}_{{}}.db" for kind in ("counter", "histogram", *(f"gauge_{mode}" for mode in Gauge._MULTIPROC_MODES))]


def test_what_is_removed_is_what_prometheus_client_removes(tmp_path, monkeypatch):
    """Of a process that is gone: every live gauge, its heart, and nothing else; of one that lives, nothing."""
    folders = [tmp_path / name for name in ("ours", "theirs")]
    for folder in folders:
        folder.mkdir()
        for name in NAMES:
            for pid in (17, 18):
                (folder / name.format(pid)).touch()
        (folder / "gauge_livesum_x.db").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folders[0]))
    monkeypatch.setattr(multiprocess, "_alive", lambda pid: pid == 18)
    for pid in (17, 18):
        (folders[0] / f"fraud_heart_{pid}").touch()
    remove_stale_workers()
    (folders[0] / "fraud_heart_18").unlink()
    prometheus_client.multiprocess.mark_process_dead(17, str(folders[1]))
    ours, theirs = ({path.name for path in folder.iterdir()} for folder in folders)
    assert ours == theirs
    assert len(ours) < 2 * len(NAMES) + 1


# --- one place


def test_no_other_module_names_what_is_private():
    """An upgrade is one file's business; tests and benchmarks aside."""
    kinds = [kind("x", "x", registry=None) for kind in (Counter, Gauge, Histogram)]
    attributes = {name for kind in kinds for name in dir(kind) if re.fullmatch(r"_[a-z]\w+", name)}
    assert {*PARTS, "_value", "_labelnames"} <= attributes
    private = re.compile(
        r"prometheus_client\.(?!parser\b)\w|from prometheus_client import .*\b(?:multiprocess|values|mmap_dict)\b"
        r"|gauge_live\w*_|\.db\"|\b(?!self\.|cls\.)\w+\.(?:" + "|".join(attributes) + r")\b"
    )
    files = [
        ROOT / "service.py",
        *(f for room in ("fraud", "serving", "training", "monitoring") for f in sorted((ROOT / room).rglob("*.py"))),
    ]
    found = [str(f.relative_to(ROOT)) for f in files if private.search(f.read_text())]
    assert found == ["monitoring/multiprocess.py"]
