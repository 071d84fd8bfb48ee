"""The service's own Prometheus metrics. Everything counted per batch waits in NumPy and is flushed once a second.

With several workers ``prometheus_client`` keeps one file per process and kind of gauge in
``PROMETHEUS_MULTIPROC_DIR``, and BentoML's ``/metrics`` adds them up. ``fraud_rate`` is a ratio and cannot be added:
each worker publishes how many rows it scored and flagged in the window (``livesum`` gauges), and each worker then
sets the ratio of the sums over all live workers (``livemostrecent``: the newest wins).
"""

import contextlib
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from fraud.manifest import Manifest
from fraud.profile import BINS, Profile

LOG = logging.getLogger("bentoml.fraud")
DECISIONS = ("fraud", "legitimate")
REASONS = (
    "malformed",
    "invalid",
    "too_large",
    "not_json",
    "method",
    "overloaded",
    "timeout",
    "not_ready",
    "disconnected",
    "internal",
)
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SCORE_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
TICK_SECONDS = 1.0


class Window:
    """Rows scored and flagged in the last ``seconds``, as a ring of one-second buckets.

    ``clock`` gives seconds and never goes back. Not thread-safe; the owner holds a lock.
    """

    def __init__(self, seconds: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts = np.zeros((seconds, 2), dtype=np.int64)
        self._second = int(clock())

    def add(self, scored: int, flagged: int) -> None:
        """Count rows in the current second."""
        self._advance()
        self._counts[self._second % len(self._counts)] += (scored, flagged)

    def totals(self) -> tuple[int, int]:
        """Rows scored and flagged in the window that ends now."""
        self._advance()
        scored, flagged = self._counts.sum(axis=0)
        return int(scored), int(flagged)

    def _advance(self) -> None:
        now = int(self._clock())
        size = len(self._counts)
        for second in range(max(self._second + 1, now - size + 1), now + 1):
            self._counts[second % size] = 0
        self._second = max(self._second, now)


class FraudMetrics:
    """All ``fraud_*`` metrics of one worker process.

    Made once per process and registry. ``window_seconds`` is the window of ``fraud_rate``.
    """

    def __init__(self, window_seconds: int, registry: CollectorRegistry = REGISTRY) -> None:
        self._lock = threading.Lock()
        self._window = Window(window_seconds)
        self._profile: Profile | None = None
        self._counts = np.zeros((0, BINS), dtype=np.int64)
        self._bins: list[list[Counter]] = []
        self._scores = _Pending(SCORE_BUCKETS)
        self._latencies = _Pending(LATENCY_BUCKETS)
        self._seconds: list[float] = []
        self._decided = np.zeros(len(DECISIONS), dtype=np.int64)
        self._flagged_amount = 0.0
        self._stop = threading.Event()
        self._make(registry)

    def _make(self, registry: CollectorRegistry) -> None:
        predictions = Counter("fraud_predictions", "Transactions scored, by decision.", ["decision"], registry=registry)
        self._predictions = [predictions.labels(decision) for decision in DECISIONS]
        errors = Counter(
            "fraud_prediction_errors", "Prediction calls not answered with scores.", ["reason"], registry=registry
        )
        self._errors = {reason: errors.labels(reason) for reason in REASONS}
        self._latency = Histogram(
            "fraud_prediction_latency_seconds",
            "Time from the first byte of a prediction call to its answer.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._score = Histogram(
            "fraud_score", "Fraud probability of scored transactions.", buckets=SCORE_BUCKETS, registry=registry
        )
        self._amount = Counter(
            "fraud_flagged_amount", "Sum of the amounts of transactions called fraud.", registry=registry
        )
        self._bin = Counter(
            "fraud_feature_bin",
            "Scored transactions by feature and bin of the model's reference profile.",
            ["model_version", "feature", "bin"],
            registry=registry,
        )
        gauge = partial(Gauge, registry=registry, multiprocess_mode="livemostrecent")
        self._rate = gauge("fraud_rate", "Share called fraud in the window; NaN when nothing was scored.")
        self._threshold = gauge("fraud_threshold", "Score from which a transaction is called fraud.")
        self._trained = gauge("fraud_model_trained_timestamp_seconds", "When the served model was trained.")
        self._info = gauge(
            "fraud_model_info", "The served model, always 1.", ["model_version", "synthetic", "git_revision"]
        )
        self._reference = gauge(
            "fraud_feature_reference_ratio",
            "Share of reference rows in each bin of each feature.",
            ["model_version", "feature", "bin"],
        )
        live = partial(Gauge, registry=registry, multiprocess_mode="livesum")
        self._ready = live("fraud_workers_ready", "Workers that hold an exact model.")
        self._window_scored = live("fraud_window_scored", "Transactions scored in the window.")
        self._window_flagged = live("fraud_window_flagged", "Transactions called fraud in the window.")
        self._rate.set(math.nan)

    def describe_model(self, manifest: Manifest) -> None:
        """Publish which model serves, and start its bins at 0."""
        profile = Profile.from_dict(manifest.profile)
        version = manifest.model_version
        with self._lock:
            self._flush_counts()  # what the model before this one scored goes to that model's bins
            self._profile = profile
            self._counts = np.zeros(profile.ratios.shape, dtype=np.int64)
            self._bins = [
                [self._bin.labels(version, name, str(number)) for number in range(BINS)] for name in profile.names
            ]
        for name, ratios in zip(profile.names, profile.ratios, strict=True):
            for number, ratio in enumerate(ratios):
                self._reference.labels(version, name, str(number)).set(ratio)
        self._threshold.set(manifest.threshold)
        self._trained.set(datetime.fromisoformat(manifest.created_at).timestamp())
        self._info.labels(version, str(manifest.synthetic).lower(), manifest.git_revision or "unknown").set(1)
        self._ready.set(1)

    def observe_scores(
        self,
        features: NDArray[np.float32],
        scores: NDArray[np.float64],
        flagged: NDArray[np.bool_],
        amounts: NDArray[np.float64],
    ) -> None:
        """Count one scored batch: features ``(n, k)``, scores, decisions and amounts ``(n,)``."""
        frauds = int(flagged.sum())
        with self._lock:
            self._window.add(len(scores), frauds)
            self._scores.add(scores)
            self._decided += (frauds, len(scores) - frauds)
            self._flagged_amount += float(amounts[flagged].sum())
            if self._profile is not None:
                self._counts += self._profile.counts(features, scores)

    def observe_call(self, seconds: float, error: str | None) -> None:
        """Count one finished prediction call; ``error`` is one of REASONS, or None when it was answered."""
        self._seconds.append(seconds)
        if error is not None:
            self._errors[error].inc()

    def flush(self) -> None:
        """Hand what was counted since the last flush to Prometheus and bring the window's gauges up to now."""
        with self._lock:
            self._flush_counts()
            scored, flagged = self._window.totals()
        self._window_scored.set(scored)
        self._window_flagged.set(flagged)
        self._rate.set(_rate(scored, flagged))

    def _flush_counts(self) -> None:
        for child, count in zip(self._predictions, self._decided, strict=True):
            child.inc(int(count))
        self._amount.inc(self._flagged_amount)
        self._scores.hand_over(self._score)
        seconds = self._seconds[:]  # observe_call appends without the lock: the list itself must stay
        del self._seconds[: len(seconds)]
        self._latencies.add(np.array(seconds))
        self._latencies.hand_over(self._latency)
        for row, column in zip(*np.nonzero(self._counts), strict=True):
            self._bins[row][column].inc(int(self._counts[row, column]))
        self._decided[:] = 0
        self._counts[:] = 0
        self._flagged_amount = 0.0

    def start(self) -> None:
        """Flush every second, also when idle, until ``close``."""
        self._ticker = threading.Thread(target=self._tick, name="fraud-metrics", daemon=True)
        self._ticker.start()

    def close(self) -> None:
        """Stop the ticker and flush for the last time; a failing flush is logged and does not stop the shutdown."""
        self._stop.set()
        self._ticker.join()
        self._ready.set(0)
        _attempt(self.flush)

    def _tick(self) -> None:
        while not self._stop.wait(TICK_SECONDS):
            _attempt(bury_the_dead)
            _attempt(self.flush)


class _Pending:
    """Observations of a histogram that were counted here and not yet handed over."""

    def __init__(self, buckets: Sequence[float]) -> None:
        self._edges = np.asarray(buckets)
        self._counts = np.zeros(len(buckets) + 1, dtype=np.int64)
        self._sum = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        self._counts += np.bincount(np.searchsorted(self._edges, values), minlength=len(self._counts))
        self._sum += float(values.sum())

    def hand_over(self, histogram: Histogram) -> None:
        """Add the counts in one go.

        ``Histogram`` can only observe one value at a time (4 us each); its own buckets and sum take any amount. The
        names are private to prometheus_client: pinned, and covered by a test.
        """
        for bucket, count in zip(histogram._buckets, self._counts, strict=True):
            if count:
                bucket.inc(int(count))
        histogram._sum.inc(self._sum)
        self._counts[:] = 0
        self._sum = 0.0


def _attempt(work: Callable[[], None]) -> None:
    """Do ``work``; a failure is logged.

    The exception to "never catch Exception to go on": the files are written and removed by other processes at any
    time, and a ticker that ended would freeze every fraud_* metric of this worker until it is restarted.
    """
    try:
        work()
    except Exception:  # ruff lets a logged one pass; the reason is above
        LOG.exception("the fraud_* metrics could not be brought up to date")


def _rate(scored: int, flagged: int) -> float:
    """Share flagged over all live workers; over this process when it is the only one.

    ``scored`` and ``flagged`` are this process's own and only those of the others are read from files: BentoML empties
    the folder whenever a server starts on the same BENTOML_HOME, and this process's file may then be gone.
    """
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder:
        own = f"gauge_livesum_{os.getpid()}.db"
        files = [str(path) for path in Path(folder).glob("gauge_livesum_*.db") if path.name != own]
        sums = {
            metric.name: sum(sample.value for sample in metric.samples)
            for metric in MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        }
        scored += int(sums.get("fraud_window_scored", 0))
        flagged += int(sums.get("fraud_window_flagged", 0))
    return flagged / scored if scored else math.nan


def bury_the_dead() -> None:
    """Remove the live gauges of worker processes that are gone, so that they no longer count."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not folder:
        return
    for path in Path(folder).glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        if not _alive(pid):
            with contextlib.suppress(FileNotFoundError):  # another worker was quicker
                mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
