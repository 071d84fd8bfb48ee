"""What is counted arrives in Prometheus exactly, over threads and processes, under labels that are bounded."""

import math
import os
import re
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from fraud import profile
from fraud.manifest import Manifest
from fraud.profile import BINS, SCORE, Profile
from monitoring import metrics as published
from monitoring import multiprocess
from monitoring.metrics import DECISIONS, LATENCY_BUCKETS, REASONS, SCORE_BUCKETS, FraudMetrics
from monitoring.pending import Pending
from monitoring.window import RollingCounts
from serving import edge
from tests import manifests
from tests.monitoring.worker_process import Worker
from tests.ulb import COLUMNS, FEATURES

REPOSITORY = Path(__file__).parents[2]
WINDOW = 60


class Clock:
    """Seconds that pass when told to."""

    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def metrics(registry):
    return FraudMetrics(WINDOW, registry)


@pytest.fixture(scope="module")
def batch():
    """Rows, features, scores, decisions and amounts of 300 rows; of the rows themselves nothing is taken here."""
    random = np.random.default_rng(5)
    scores = random.choice([0.0, 0.005, 0.3, 0.31, 0.9, 1.0], 300)
    features = random.normal(size=(300, len(FEATURES))).astype(np.float32)
    rows = np.zeros((300, len(COLUMNS)))
    return rows, features, scores, scores >= 0.3, np.round(random.lognormal(3, 1, 300), 2)


def manifest_of(batch, version="v1", **changes):
    reference = profile.build(FEATURES, batch[1][:200], batch[2][:200])
    facts = {"model_version": version, "features": FEATURES, "threshold": 0.3, "profile": reference.as_bins()}
    return Manifest(**manifests.document(**facts | changes))


def value(registry, name, **labels):
    return registry.get_sample_value(name, labels)


def samples(registry, name):
    return [s for metric in registry.collect() for s in metric.samples if s.name == name]


def bins(registry, version, feature):
    return [
        value(registry, "fraud_feature_bin_total", model_version=version, feature=feature, bin=str(number))
        for number in range(BINS)
    ]


# --- the window


def test_a_window_counts_what_was_added(clock):
    """Rows of one second and of several add up."""
    window = RollingCounts(10, clock)
    window.add(3, 1)
    window.add(2, 0)
    clock.now += 4.7
    window.add(5, 5)
    assert window.totals() == (10, 6)


@pytest.mark.parametrize(("passed", "expected"), [(0, 1), (8.9, 1), (9.9, 1), (10, 0), (10.1, 0), (19, 0), (20, 0)])
def test_a_row_leaves_the_window_when_its_time_is_over(clock, passed, expected):
    """A row counts for the length of the window, to the second, and no longer."""
    window = RollingCounts(10, clock)
    window.add(1, 1)
    clock.now += passed
    assert window.totals() == (expected, expected)


@pytest.mark.parametrize("gap", [10, 11, 19, 20, 21, 100, 1e6, 1e9])
def test_a_long_silence_empties_the_window(clock, gap):
    """However long nothing happened, nothing of before comes back, and it takes no longer to find out."""
    window = RollingCounts(10, clock)
    for _ in range(12):
        window.add(1, 1)
        clock.now += 1
    clock.now += gap - 1
    assert window.totals() == (0, 0)
    window.add(2, 1)
    assert window.totals() == (2, 1)


def test_a_window_does_not_wait_for_rows(clock):
    """Totals fall by themselves, without another row."""
    window = RollingCounts(3, clock)
    seen = []
    for rows in (1, 2, 4, 0, 0, 0):
        if rows:
            window.add(rows, 0)
        seen.append(window.totals()[0])
        clock.now += 1
    assert seen == [1, 3, 7, 6, 4, 0]


def test_a_clock_that_steps_back_loses_nothing(clock):
    """Rows counted while the clock is behind belong to the newest second."""
    window = RollingCounts(10, clock)
    window.add(1, 0)
    clock.now -= 5
    window.add(1, 1)
    assert window.totals() == (2, 1)
    clock.now += 14.9
    assert window.totals() == (2, 1)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 8), st.lists(st.tuples(st.floats(0, 12), st.integers(0, 5), st.integers(0, 5)), max_size=40))
def test_a_window_equals_a_list_of_all_rows(seconds, steps):
    """At any time the totals are those of the rows whose second is less than the window's length ago."""
    clock = Clock()
    window, kept = RollingCounts(seconds, clock), []
    for pause, scored, flagged in steps:
        clock.now += pause
        window.add(scored, flagged)
        kept.append((int(clock.now), scored, flagged))
        recent = [row for row in kept if int(clock.now) - row[0] < seconds]
        assert window.totals() == (sum(row[1] for row in recent), sum(row[2] for row in recent))


# --- what a new process shows


@pytest.mark.parametrize("decision", DECISIONS)
def test_decisions_start_at_0(registry, metrics, decision):
    """A rate over a counter needs its first value."""
    assert value(registry, "fraud_predictions_total", decision=decision) == 0


@pytest.mark.parametrize("reason", REASONS)
def test_reasons_start_at_0(registry, metrics, reason):
    """Each reason for an error is there before the first error."""
    assert value(registry, "fraud_prediction_errors_total", reason=reason) == 0


@pytest.mark.parametrize("name", ["fraud_window_scored", "fraud_window_flagged", "fraud_workers_ready"])
def test_gauges_start_at_0(registry, metrics, name):
    """A new process has scored nothing and is not ready."""
    assert value(registry, name) == 0


def test_the_rate_of_nothing_is_not_a_number(registry, metrics):
    """Before the first row, and after a flush without rows, fraud_rate is NaN and not 0."""
    assert math.isnan(value(registry, "fraud_rate"))
    metrics.flush()
    assert math.isnan(value(registry, "fraud_rate"))


@pytest.mark.parametrize("feature", [*FEATURES, SCORE])
def test_bins_start_at_0_once_a_model_is_described(registry, metrics, batch, feature):
    """All bins of all features and of the score exist, beside the reference's shares, before a row is scored."""
    manifest = manifest_of(batch)
    metrics.describe_model(manifest)
    assert bins(registry, "v1", feature) == [0] * BINS
    ratios = [
        value(registry, "fraud_feature_reference_ratio", model_version="v1", feature=feature, bin=str(number))
        for number in range(BINS)
    ]
    assert ratios == list(manifest.profile[feature].ratios)


def test_the_model_is_described(registry, metrics, batch):
    """Version, threshold and time of training are published, and the worker counts as ready."""
    metrics.describe_model(manifest_of(batch, threshold=0.42))
    labels = {"model_version": "v1", "synthetic": "true", "git_revision": "unknown"}
    assert value(registry, "fraud_model_info", **labels) == 1
    assert value(registry, "fraud_threshold") == 0.42
    assert value(registry, "fraud_model_trained_timestamp_seconds") == 1767323045
    assert value(registry, "fraud_workers_ready") == 1


def test_the_revision_is_published(registry, metrics, batch):
    """A known code revision is a label of the model."""
    metrics.describe_model(manifest_of(batch, git_revision="abc", synthetic=False))
    assert value(registry, "fraud_model_info", model_version="v1", synthetic="false", git_revision="abc") == 1


# --- counting and handing over


def test_nothing_shows_before_a_flush(registry, metrics, batch):
    """Scored rows wait in NumPy; Prometheus hears of them at the flush."""
    metrics.observe_scores(*batch)
    assert value(registry, "fraud_predictions_total", decision="fraud") == 0
    metrics.flush()
    assert value(registry, "fraud_predictions_total", decision="fraud") > 0


def test_a_flush_hands_over_exact_counts(registry, metrics, batch):
    """Decisions, amounts, scores and window after a flush are those of the rows, over several batches."""
    _, _, scores, flagged, amounts = batch
    for part in (slice(0, 1), slice(1, 130), slice(130, 130), slice(130, 300)):
        metrics.observe_scores(*(array[part] for array in batch))
    metrics.flush()
    frauds = int(flagged.sum())
    assert value(registry, "fraud_predictions_total", decision="fraud") == frauds
    assert value(registry, "fraud_predictions_total", decision="legitimate") == 300 - frauds
    assert value(registry, "fraud_flagged_amount_total") == pytest.approx(amounts[flagged].sum(), rel=1e-12)
    assert value(registry, "fraud_score_count") == 300
    assert value(registry, "fraud_score_sum") == pytest.approx(scores.sum(), rel=1e-12)
    assert value(registry, "fraud_window_scored") == 300
    assert value(registry, "fraud_window_flagged") == frauds
    assert value(registry, "fraud_rate") == frauds / 300


def test_bins_count_every_row_of_every_feature(registry, metrics, batch):
    """After a flush each feature's bins hold the rows that the profile puts there."""
    manifest = manifest_of(batch)
    metrics.describe_model(manifest)
    metrics.observe_scores(*batch)
    metrics.flush()
    expected = Profile.from_bins(manifest.profile).counts(*batch[:3])
    for feature, counts in zip([*FEATURES, SCORE], expected, strict=True):
        assert bins(registry, "v1", feature) == counts.tolist()


def test_rows_without_a_model_described_are_counted_without_bins(registry, metrics, batch):
    """Without a profile there are no bins, and the rest is counted."""
    metrics.observe_scores(*batch)
    metrics.flush()
    assert samples(registry, "fraud_feature_bin_total") == []
    assert value(registry, "fraud_score_count") == 300


def test_another_model_starts_its_own_bins(registry, metrics, batch):
    """Rows of the model before are kept under its version, also those that were not flushed yet."""
    metrics.describe_model(manifest_of(batch, "v1"))
    metrics.observe_scores(*batch)
    metrics.describe_model(manifest_of(batch, "v2"))
    metrics.observe_scores(*(part[:7] for part in batch))
    metrics.flush()
    assert sum(bins(registry, "v1", SCORE)) == 300
    assert sum(bins(registry, "v2", SCORE)) == 7


def test_flushing_again_changes_nothing(registry, metrics, batch):
    """A second flush adds nothing, counters and histograms alike."""
    metrics.describe_model(manifest_of(batch))
    metrics.observe_scores(*batch)
    metrics.observe_call(0.003, None)
    metrics.observe_call(0.3, "invalid")
    metrics.flush()
    before = without_times(registry)
    metrics.flush()
    metrics.flush()
    assert without_times(registry) == before


def without_times(registry):
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


def test_calls_are_timed_and_errors_counted_by_reason(registry, metrics):
    """Every call is in the latency histogram; an error is counted under its reason, an answer under none."""
    for seconds, reason in [(0.0005, None), (0.02, None), (0.02, "invalid"), (30.0, "timeout")]:
        metrics.observe_call(seconds, reason)
    metrics.flush()
    assert value(registry, "fraud_prediction_latency_seconds_count") == 4
    assert value(registry, "fraud_prediction_latency_seconds_sum") == pytest.approx(30.0405)
    assert value(registry, "fraud_prediction_latency_seconds_bucket", le="0.001") == 1
    assert value(registry, "fraud_prediction_latency_seconds_bucket", le="10.0") == 3
    assert value(registry, "fraud_prediction_latency_seconds_bucket", le="+Inf") == 4
    counted = {sample.labels["reason"]: sample.value for sample in samples(registry, "fraud_prediction_errors_total")}
    assert {reason: count for reason, count in counted.items() if count} == {"invalid": 1, "timeout": 1}


def test_calls_turned_away_are_calls_too(registry, metrics):
    """They are errors by overload, and took no time."""
    metrics.turned_away(3)
    metrics.turned_away(0)
    metrics.flush()
    assert value(registry, "fraud_prediction_errors_total", reason="overloaded") == 3
    assert value(registry, "fraud_prediction_latency_seconds_bucket", le="0.001") == 3


@pytest.mark.parametrize("buckets", [LATENCY_BUCKETS, SCORE_BUCKETS], ids=["latency", "score"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_handing_over_equals_observing_one_by_one(buckets, data):
    """Counts kept in NumPy and handed over in one go give the histogram that observe gives, edges included."""
    number = st.one_of(st.sampled_from(buckets), st.floats(0, 20))
    groups = data.draw(st.lists(st.lists(number, max_size=12), max_size=4))
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    handed, observed = (Histogram("h", "h", buckets=buckets, registry=r) for r in (ours, theirs))
    pending = Pending(handed)
    for group in groups:
        pending.add(np.array(group[:3]))
        pending.add(np.array(group[3:]))
        pending.hand_over()
        for item in group:
            observed.observe(item)
    for bucket in [*map(str, map(float, buckets)), "+Inf"]:
        assert value(ours, "h_bucket", le=bucket) == value(theirs, "h_bucket", le=bucket)
    assert value(ours, "h_count") == value(theirs, "h_count")
    assert value(ours, "h_sum") == pytest.approx(value(theirs, "h_sum"))


# --- labels


def test_an_unknown_reason_makes_no_series(registry, metrics):
    """Reasons are a fixed set: another one is an error of ours and not a new series."""
    with pytest.raises(KeyError):
        metrics.observe_call(0.1, "whatever the caller wrote")
    assert {sample.labels["reason"] for sample in samples(registry, "fraud_prediction_errors_total")} == set(REASONS)


def test_every_reason_in_the_code_is_a_label():
    """Each reason that a refusal names, or the Edge gives, is one of the labels."""
    text = "".join((REPOSITORY / name).read_text() for name in ("serving/edge.py", "serving/refuse.py"))
    given = set(re.findall(r'RefusedError\(\s*HTTPStatus\.\w+,\s*"(\w+)"', text))
    given |= set(re.findall(r'\.reason = "(\w+)"', text))
    assert {"malformed", "invalid", "too_large", "not_json", "not_ready", "overloaded"} <= given
    given |= {reason for reason, _ in edge._FOREIGN.values()} | {"internal", "disconnected"}
    assert given <= set(REASONS)


def test_labels_are_bounded(registry, metrics, batch):
    """A model makes as many series as it has features and bins; rows and calls make none."""
    metrics.describe_model(manifest_of(batch))
    metrics.flush()
    before = sorted((sample.name, *sample.labels.items()) for metric in registry.collect() for sample in metric.samples)
    metrics.observe_scores(*batch)
    for reason in (None, *REASONS):
        metrics.observe_call(0.1, reason)
    metrics.flush()
    after = sorted((sample.name, *sample.labels.items()) for metric in registry.collect() for sample in metric.samples)
    assert after == before
    assert len(samples(registry, "fraud_feature_bin_total")) == (len(FEATURES) + 1) * BINS


def test_every_metric_has_our_prefix_and_a_sentence(registry, metrics):
    """Names start with fraud_, and the help text is there."""
    for metric in registry.collect():
        assert metric.name.startswith("fraud_")
        assert metric.documentation.endswith(".")


@pytest.mark.parametrize("buckets", [LATENCY_BUCKETS, SCORE_BUCKETS], ids=["latency", "score"])
def test_buckets_ascend(buckets):
    """A search over the buckets needs them in order."""
    assert list(buckets) == sorted(set(buckets))


# --- threads


def test_no_count_is_lost_between_threads(registry, metrics, batch):
    """Two threads score, two report calls, and one flushes all the time: every count arrives, once."""
    metrics.describe_model(manifest_of(batch))
    rounds, stop = 300, threading.Event()
    part = tuple(array[:10] for array in batch)

    def scores():
        for _ in range(rounds):
            metrics.observe_scores(*part)

    def calls():
        for _ in range(rounds * 10):
            metrics.observe_call(0.002, "invalid")

    def flushes():
        while not stop.is_set():
            metrics.flush()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        flusher = threading.Thread(target=flushes)
        others = [threading.Thread(target=work) for work in (scores, scores, calls, calls)]
        for thread in (flusher, *others):
            thread.start()
        for thread in others:
            thread.join()
        stop.set()
        flusher.join()
    finally:
        sys.setswitchinterval(before)
    metrics.flush()
    assert value(registry, "fraud_score_count") == 2 * rounds * 10
    assert sum(bins(registry, "v1", "V1")) == 2 * rounds * 10
    assert value(registry, "fraud_window_scored") == 2 * rounds * 10
    assert value(registry, "fraud_prediction_latency_seconds_count") == 2 * rounds * 10
    assert value(registry, "fraud_prediction_errors_total", reason="invalid") == 2 * rounds * 10


def test_a_call_reported_during_a_flush_is_not_lost(registry, metrics):
    """A call that arrives while the flush takes the list is in this flush or in the next."""
    add = metrics._latencies.add

    def late(values):
        metrics.observe_call(0.5, None)
        add(values)

    metrics.observe_call(0.5, None)
    kept = metrics._seconds
    metrics._latencies.add = late
    metrics.flush()
    kept.append(0.5)
    metrics._latencies.add = add
    metrics.flush()
    assert value(registry, "fraud_prediction_latency_seconds_count") == 3


def test_the_ticker_flushes_by_itself_and_close_flushes_the_rest(registry, metrics, batch, monkeypatch):
    """Between start and close counts arrive without a call to flush; close hands over what is left."""
    monkeypatch.setattr(published, "TICK_SECONDS", 0.01)
    flushed = threading.Event()
    flush = metrics.flush

    def noted():
        flush()
        flushed.set()

    metrics.flush = noted
    metrics.observe_scores(*batch)
    metrics.start()
    assert flushed.wait(5)
    assert value(registry, "fraud_score_count") == 300
    metrics.describe_model(manifest_of(batch))
    metrics.observe_scores(*batch)
    metrics.close()
    assert value(registry, "fraud_score_count") == 600
    assert value(registry, "fraud_workers_ready") == 0
    assert not metrics._ticker._thread.is_alive()


@pytest.fixture
def half_created(tmp_path, monkeypatch):
    """The file of another live worker that has just been opened and is not yet filled: reading it raises."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(multiprocess, "_alive", lambda _: True)
    monkeypatch.setattr(published, "TICK_SECONDS", 0.01)
    path = tmp_path / "gauge_livesum_0.db"
    path.touch()
    return path


@pytest.fixture
def logged(monkeypatch):
    """Is set when a failure is logged."""
    told = threading.Event()
    monkeypatch.setattr(published.LOG, "exception", lambda _: told.set())
    return told


def eventually(fact):
    pause = threading.Event()
    return any(fact() or pause.wait(0.01) for _ in range(500))


def test_the_ticker_goes_on_after_a_failure(registry, metrics, batch, half_created, logged):
    """A tick that raises is logged, and a later one brings everything up to date, the rate included."""
    metrics.start()
    assert logged.wait(5)
    half_created.unlink()
    metrics.observe_scores(*batch)
    assert eventually(lambda: value(registry, "fraud_rate") == batch[3].mean())
    assert value(registry, "fraud_score_count") == 300
    metrics.close()


def test_counts_arrive_although_stale_workers_cannot_be_removed(registry, metrics, batch, logged, monkeypatch):
    """A tick whose first half always fails still does its second half."""

    def forbidden():
        raise PermissionError

    monkeypatch.setattr(published, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(published, "remove_stale_workers", forbidden)
    metrics.observe_scores(*batch)
    metrics.start()
    assert eventually(lambda: value(registry, "fraud_score_count") == 300)
    assert logged.is_set()
    metrics.close()


def test_close_finishes_although_the_flush_fails(registry, metrics, batch, half_created, logged):
    """A last flush that raises is logged: the shutdown goes on, the worker is not ready, and its rows are counted."""
    metrics.describe_model(manifest_of(batch))
    metrics.start()
    metrics.observe_scores(*batch)
    metrics.close()
    assert logged.is_set()
    assert value(registry, "fraud_workers_ready") == 0
    assert value(registry, "fraud_score_count") == 300
    assert not metrics._ticker._thread.is_alive()


# --- processes

WORKER = """
import numpy as np
from monitoring.metrics import FraudMetrics
from monitoring.multiprocess import remove_stale_workers
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

metrics = FraudMetrics(3600)

def score(scored, flagged):
    flags = np.arange(scored) < flagged
    features = np.zeros((scored, 1), np.float32)
    metrics.observe_scores(features * 1.0, features, flags * 1.0, flags, np.full(scored, 2.0))

def scrape():
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return {sample.name: sample.value for metric in registry.collect() for sample in metric.samples
            if not sample.labels or "decision" in sample.labels and sample.labels["decision"] == "fraud"}

commands = {"score": score, "flush": metrics.flush, "remove": remove_stale_workers, "scrape": scrape,
            "ready": lambda: metrics.workers.ready(), "rate": lambda: metrics._rate._value.get()}
"""


@pytest.fixture
def workers(tmp_path):
    """Three worker processes, all up, that share one folder of metrics.

    One after the other: a flush fails beside a file that another has just opened; a ticker tries again, and this not.
    """
    started = []
    for _ in range(3):
        started.append(Worker(tmp_path, WORKER))
        started[-1]("flush")
    yield started
    for worker in started:
        worker.end()


def shown(worker):
    found = worker("scrape")
    return found["fraud_window_scored"], found["fraud_window_flagged"], found["fraud_rate"]


def test_the_rate_is_exact_over_processes(workers):
    """fraud_rate is the share over all workers' rows, not a mean of shares, in whichever worker it is read."""
    first, second, third = workers
    assert math.isnan(shown(first)[2])
    first("score", 100, 1)
    second("score", 10, 5)
    for worker in workers:
        worker("flush")
    assert [shown(worker) for worker in workers] == [(110, 6, 6 / 110)] * 3
    third("score", 890, 94)
    third("flush")
    assert shown(first) == (1000, 100, 0.1)
    assert first("scrape")["fraud_predictions_total"] == 100


@pytest.mark.parametrize("reaped", [True, False], ids=["reaped", "a zombie"])
def test_the_rate_is_right_after_a_worker_was_killed(workers, reaped):
    """The rows of a worker killed by SIGKILL leave the window at the next tick; what it counted stays counted."""
    first, second, third = workers
    for worker, scored, flagged in zip(workers, (100, 100, 800), (10, 30, 0), strict=True):
        worker("ready")
        worker("score", scored, flagged)
        worker("flush")
    assert shown(first) == (1000, 40, 0.04)
    third.process.send_signal(signal.SIGKILL)
    third.process.wait(10) if reaped else os.waitid(os.P_PID, third.process.pid, os.WEXITED | os.WNOWAIT)
    first("remove")
    first("flush")
    assert shown(first) == shown(second) == (200, 40, 0.2)
    assert first("scrape")["fraud_workers_ready"] == 2
    assert first("scrape")["fraud_score_count"] == 1000


def test_removing_twice_or_at_once_is_harmless(workers):
    """Several workers may find the same dead one; the living are left alone."""
    first, second, third = workers
    for worker in workers:
        worker("score", 10, 1)
        worker("flush")
    third.end()
    for worker in (first, second, first):
        worker("remove")
    second("flush")
    assert shown(first) == (20, 2, 0.1)


def test_the_rate_outlives_the_files(workers, tmp_path):
    """A server that starts on the same BENTOML_HOME empties the folder: a worker then counts itself and who is left."""
    first, second, _ = workers
    first("score", 100, 1)
    second("score", 10, 5)
    second("flush")
    (tmp_path / f"gauge_livesum_{first.process.pid}.db").unlink()
    first("flush")
    assert first("rate") == 6 / 110
    for path in tmp_path.iterdir():
        path.unlink()
    for worker in workers:
        worker("flush")
    assert (first("rate"), second("rate")) == (1 / 100, 5 / 10)


def test_without_a_folder_nothing_is_removed(monkeypatch):
    """In a single process there is nothing to clean up."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    multiprocess.remove_stale_workers()
