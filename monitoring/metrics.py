"""The service's own Prometheus metrics. What was scored is kept as it is and counted together, once a second.

What is counted for drift is in ``bins``, what becomes of the prediction log, of labels and of live quality in
``record_metrics``, of histories in ``history_metrics``, that of keys in ``access_metrics``, which workers
are ready in ``workers``.

BentoML's ``/metrics`` adds the workers' counts up. ``fraud_rate`` is a ratio and cannot be added: each worker publishes
how many rows it scored and flagged in the window (``livesum`` gauges), and each worker then sets the ratio of the sums
over all live workers (``livemostrecent``: the newest wins).
"""

import logging
import math
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial

import numpy as np
from numpy.typing import NDArray
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from fraud.manifest import Manifest
from monitoring.access_metrics import AccessMetrics
from monitoring.bins.metrics import BinMetrics
from monitoring.history_metrics import HistoryMetrics
from monitoring.multiprocess import remove_stale_workers
from monitoring.pending import Pending, taken
from monitoring.record_metrics import RecordMetrics
from monitoring.ticker import Ticker, attempt
from monitoring.window import FLAGGED, SCORED, RateOverWorkers, RollingCounts
from monitoring.workers import WorkerMetrics, merge_ended

LOG = logging.getLogger("bentoml.fraud")
DECISIONS = ("fraud", "legitimate")
REASONS = (
    "malformed",
    "invalid",
    "too_large",
    "not_json",
    "unauthorized",
    "forbidden",
    "method",
    "overloaded",
    "timeout",
    "not_ready",
    "disconnected",
    "internal",
)
REFUSED = ("malformed", "too_large", "timeout", "overloaded")
"""Why a call was refused before it was read: no HTTP, too long a head, too slow a head, too many connections."""
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SCORE_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
TICK_SECONDS = 1.0
MOST_WAITING = 256
"""Rows kept uncounted between two ticks; more are counted at once, for which nobody else works: 0.25 ms."""

Batch = tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]


class FraudMetrics:
    """All ``fraud_*`` metrics of one worker process.

    Made once per process and registry. ``window_seconds`` is the window of ``fraud_rate``.
    """

    def __init__(self, window_seconds: int, registry: CollectorRegistry = REGISTRY) -> None:
        self._lock = threading.Lock()
        self._window = RollingCounts(window_seconds)
        self._scored: list[Batch] = []
        self._waiting = 0
        self._seconds: list[float] = []
        self._decided = np.zeros(len(DECISIONS), dtype=np.int64)
        self._flagged_amount = 0.0
        self._flushed_too: list[Callable[[], None]] = []
        self._rate_over_workers = RateOverWorkers()
        self._make(registry)
        self._scores, self._latencies = Pending(self._score), Pending(self._latency)
        self.records, self.access = RecordMetrics(registry), AccessMetrics(registry)
        self.history = HistoryMetrics(registry)
        self.workers, self._bins = WorkerMetrics(registry), BinMetrics(registry)

    def _make(self, registry: CollectorRegistry) -> None:
        predictions = Counter("fraud_predictions", "Transactions scored, by decision.", ["decision"], registry=registry)
        self._predictions = [predictions.labels(decision) for decision in DECISIONS]
        errors = Counter(
            "fraud_prediction_errors", "Prediction calls not answered with scores.", ["reason"], registry=registry
        )
        self._errors = {reason: errors.labels(reason) for reason in REASONS}
        refused = Counter(
            "fraud_http_refused", "Calls refused before they were read, by reason.", ["reason"], registry=registry
        )
        self._refused_calls = {reason: refused.labels(reason) for reason in REFUSED}
        self._took_long = Counter(
            "fraud_long_path", "Calls of /predict answered with scores past the short cut.", registry=registry
        )
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
        gauge = partial(Gauge, registry=registry, multiprocess_mode="livemostrecent")
        self._rate = gauge("fraud_rate", "Share called fraud in the window; NaN when nothing was scored.")
        self._threshold = gauge("fraud_threshold", "Score from which a transaction is called fraud.")
        self._trained = gauge("fraud_model_trained_timestamp_seconds", "When the served model was trained.")
        self._info = gauge(
            "fraud_model_info", "The served model, always 1.", ["model_version", "synthetic", "git_revision"]
        )
        live = partial(Gauge, registry=registry, multiprocess_mode="livesum")
        self._window_scored = live(SCORED, "Transactions scored in the window.")
        self._window_flagged = live(FLAGGED, "Transactions called fraud in the window.")
        self._rate.set(math.nan)

    def describe_model(self, manifest: Manifest) -> None:
        """Publish which model serves, and start its bins at 0; those of the one before it stay, older ones go.

        Called again when another model takes over, with no batch between its scoring and ``observe_scores``.
        """
        version = manifest.model_version
        with self._lock:
            self._flush_counts()  # what the model before this one scored goes to that model's bins
            self._bins.describe(manifest)
        self._threshold.set(manifest.threshold)
        self._trained.set(datetime.fromisoformat(manifest.created_at).timestamp())
        self._info.labels(version, str(manifest.synthetic).lower(), manifest.git_revision or "unknown").set(1)
        self.workers.ready()
        self.workers.refuse(False)

    def refuse_model(self) -> None:
        """Publish that this worker serves nothing, because its model is damaged or not exact."""
        self.workers.ready(False)
        self.workers.refuse()

    def observe_scores(
        self,
        rows: NDArray[np.float64],
        features: NDArray[np.float32],
        scores: NDArray[np.float64],
        flagged: NDArray[np.bool_],
        amounts: NDArray[np.float64] | None,
    ) -> None:
        """Count one scored batch: rows ``(n, inputs)``, features ``(n, k)``, scores, decisions and amounts ``(n,)``,
        never changed again. A missing amount counts for nothing.

        Counting costs 18 us for a row alone and 1 us among many, so batches wait for each other.
        """
        amounts = np.zeros(len(scores)) if amounts is None else amounts
        self._scored.append((rows, features, scores, flagged, amounts))
        self._waiting += len(scores)
        if self._waiting >= MOST_WAITING:
            with self._lock:
                self._count_scored()

    def _count_scored(self) -> None:
        batches = taken(self._scored)
        self._waiting = 0
        if not batches:
            return
        rows, *others = zip(*batches, strict=True)
        features, scores, flagged, amounts = map(np.concatenate, others)
        frauds = int(flagged.sum())
        self._window.add(len(scores), frauds)
        self._scores.add(scores)
        self._decided += (frauds, len(scores) - frauds)
        self._flagged_amount += float(np.nansum(amounts[flagged]))
        self._bins.count(rows, features, scores)

    def observe_call(self, seconds: float, error: str | None) -> None:
        """Count one finished prediction call; ``error`` is one of REASONS, or None when it was answered."""
        self._seconds.append(seconds)
        if error is not None:
            self._errors[error].inc()

    def turned_away(self, calls: int) -> None:
        """Count prediction calls that were refused at the door, at once."""
        self._seconds += [0.0] * calls
        self._errors["overloaded"].inc(calls)

    def refused(self, reason: str) -> None:
        """Count a call that was refused before it was read; ``reason`` is one of REFUSED."""
        self._refused_calls[reason].inc()

    def took_long(self) -> None:
        """Count a call of ``/predict`` that was answered, though not by the short cut."""
        self._took_long.inc()

    def flush_with(self, other: Callable[[], None]) -> None:
        """Call ``other`` at each flush too."""
        self._flushed_too.append(other)

    def flush(self) -> None:
        """Hand what was counted since the last flush to Prometheus and bring the window's gauges up to now."""
        with self._lock:
            self._flush_counts()
            scored, flagged = self._window.totals()
        self._window_scored.set(scored)
        self._window_flagged.set(flagged)
        self._rate.set(self._rate_over_workers.of(scored, flagged))
        self.workers.publish()
        for other in self._flushed_too:
            other()

    def _tidy(self) -> None:
        with self._lock:
            self._bins.tidy()

    def _flush_counts(self) -> None:
        self._count_scored()
        for child, count in zip(self._predictions, self._decided, strict=True):
            child.inc(int(count))
        self._amount.inc(self._flagged_amount)
        self._scores.hand_over()
        self._latencies.add(taken(self._seconds))
        self._latencies.hand_over()
        self._bins.hand_over()
        self._decided[:] = 0
        self._flagged_amount = 0.0

    def start(self, workers: int = 1) -> None:
        """Flush every second, also when idle, until ``close``; ``workers`` is how many there should be."""
        self.workers.expect(workers)
        self._rate_over_workers.check(workers)
        if problem := self._latencies.problem:
            LOG.warning("histograms are given their values one by one: %s", problem)
        of_files = remove_stale_workers, self._tidy, merge_ended, self.workers.look_after_files
        self._ticker = Ticker(TICK_SECONDS, *of_files, self.flush)
        self._ticker.start()

    def close(self) -> None:
        """Stop the ticker and flush for the last time; a failing flush is logged and does not stop the shutdown."""
        self._ticker.close()
        self.workers.ready(False)
        attempt(self.flush)
