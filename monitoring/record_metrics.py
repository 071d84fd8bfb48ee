"""What became of the prediction log, of labels, and of the model's quality in production: ``FraudMetrics.records``."""

import math
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

if TYPE_CHECKING:
    from monitoring.quality import ModelQuality

LOST = ("full", "shutdown", "invalid")
"""Why a prediction was not logged: the queue was full, the service ended, or the database refused the row."""
FEEDBACK_LABELS = ("fraud", "legitimate")


class RecordMetrics:
    """All metrics of what is kept in the database and read from it, of one worker process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._written = Counter("fraud_log_written", "Predictions written to the database.", registry=registry)
        dropped = Counter("fraud_log_dropped", "Predictions lost to the log, by reason.", ["reason"], registry=registry)
        self._dropped = {reason: dropped.labels(reason) for reason in LOST}
        self._reopened = Counter(
            "fraud_log_reopened", "Times that the file of the database was another than before.", registry=registry
        )
        self._pending = Gauge(
            "fraud_log_pending",
            "Predictions waiting to be written.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._unwritable = Gauge(
            "fraud_log_unwritable",
            "Workers that cannot write to the database now; their predictions wait.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        labels = Counter("fraud_labels_received", "Labels taken by POST /feedback.", ["label"], registry=registry)
        self._labels = {label: labels.labels(label) for label in FEEDBACK_LABELS}
        gauge = partial(Gauge, registry=registry, multiprocess_mode="livemostrecent")
        self._delay = gauge("fraud_label_delay_seconds", "Age from which a prediction is judged.")
        self._quality = gauge(
            "fraud_live_quality",
            "Precision and recall of predictions old enough for labels, with their 95 % interval.",
            ["model_version", "figure", "bound"],
        )
        self._outcomes = gauge(
            "fraud_live_transactions", "Judged transactions by outcome.", ["model_version", "outcome"]
        )
        self._labelled = gauge(
            "fraud_live_labelled", "Judged transactions that have a label of their own.", ["model_version"]
        )
        self._qualities: dict[str, ModelQuality] = {}

    def written(self, rows: int) -> None:
        """Count rows that are in the database now."""
        self._written.inc(rows)

    def dropped(self, reason: str, rows: int) -> None:
        """Count rows that are lost; ``reason`` is one of LOST."""
        self._dropped[reason].inc(rows)

    def reopened(self) -> None:
        """Count that the database's file was deleted, emptied or replaced, and opened anew."""
        self._reopened.inc()

    def writable(self, is_writable: bool = True) -> None:
        """Publish whether the database took what this worker wrote last."""
        self._unwritable.set(not is_writable)

    def pending(self, rows: int) -> None:
        """Publish how many rows this worker has not written yet."""
        self._pending.set(rows)

    def labelled(self, *, is_fraud: bool) -> None:
        """Count a label."""
        self._labels["fraud" if is_fraud else "legitimate"].inc()

    def describe_quality(self, qualities: Iterable["ModelQuality"], delay_seconds: float) -> None:
        """Publish live quality; a version that is no longer among ``qualities`` becomes NaN."""
        self._delay.set(delay_seconds)
        now = {one.model_version: one for one in qualities}
        for version, one in (self._qualities | now).items():
            gone = version not in now
            for figure, bounds in one.figures.items():
                for bound, value in bounds.items():
                    self._quality.labels(version, figure, bound).set(math.nan if gone else value)
            for outcome, count in one.outcomes.items():
                self._outcomes.labels(version, outcome).set(0 if gone else count)
            self._labelled.labels(version).set(0 if gone else one.labelled)
        self._qualities |= now
