"""What became of histories of keys: ``FraudMetrics.history``."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

MISSING = ("future", "deadline", "broken", "full")
"""Why a transaction was scored without its history: it is from the future, the store was held, cannot be used, or has
no room for a key that it does not hold yet."""
DROPPED = ("full", "shutdown", "error")
"""Why one that had to wait was never added: too many waited, the service ended, or it cannot be."""

LABELS = ("applied", "taken_back", "late", "unknown", "other_schema", "refused")
"""What became of a label: it was counted, or is no more; no window reaches back to its transaction; nobody knows the
transaction, or not yet; it was logged by a schema with other keys; Redis will not take it (the log has why)."""
_DAY = 86_400.0
LABEL_BUCKETS = tuple(days * _DAY for days in (0.04, 0.25, 1, 2, 3, 5, 7, 8, 10, 14, 21, 30, 45, 60, 90, 180))


class HistoryMetrics:
    """All metrics of the store of histories, of one worker process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        missing = Counter(
            "fraud_history_missing", "Transactions scored without their history.", ["reason"], registry=registry
        )
        self._missing = {reason: missing.labels(reason) for reason in MISSING}
        dropped = Counter(
            "fraud_history_dropped", "Transactions that no history will ever hold.", ["reason"], registry=registry
        )
        self._dropped = {reason: dropped.labels(reason) for reason in DROPPED}
        self._added = Counter("fraud_history_added", "Transactions added to histories.", registry=registry)
        self._damaged = Counter(
            "fraud_history_damaged", "States of keys that were not what was written, and began anew.", registry=registry
        )
        labels = Counter("fraud_history_labels", "Labels for histories, by outcome.", ["outcome"], registry=registry)
        self._labels = {outcome: labels.labels(outcome) for outcome in LABELS}
        self._label_seconds = Histogram(
            "fraud_history_label_seconds",
            "How long after a fraud its label came.",
            buckets=LABEL_BUCKETS,
            registry=registry,
        )
        self._overdue = Counter(
            "fraud_history_labels_overdue", "Labels of frauds that came after the label delay.", registry=registry
        )
        self._pending = Gauge(
            "fraud_history_pending",
            "Transactions waiting to be added to histories.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._keys = Gauge(
            "fraud_history_keys",
            "Keys with a history, those included that left.",
            ["key"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._bytes = Gauge(
            "fraud_history_bytes",
            "Disk that histories take; in Redis the memory that it uses, with whatever else it holds.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._bytes_limit = Gauge(
            "fraud_history_bytes_limit",
            "Memory that Redis may use for histories and whatever else it holds (maxmemory); 0 without a limit.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )

    def missing(self, reason: str, rows: int) -> None:
        """Count transactions scored without; ``reason`` is one of MISSING."""
        self._missing[reason].inc(rows)

    def dropped(self, reason: str, rows: int) -> None:
        """Count transactions that are lost to histories; ``reason`` is one of DROPPED."""
        self._dropped[reason].inc(rows)

    def added(self, rows: int) -> None:
        """Count transactions that histories hold now."""
        self._added.inc(rows)

    def damaged(self, states: int) -> None:
        """Count states that were not what was written."""
        self._damaged.inc(states)

    def labelled(self, outcome: str, labels: int = 1) -> None:
        """Count labels; ``outcome`` is one of LABELS."""
        self._labels[outcome].inc(labels)

    def labels_came(self, seconds: Sequence[float], delay: float) -> None:
        """Count labels of frauds by how long after these they came, and those that took more than ``delay``."""
        for one in seconds:
            self._label_seconds.observe(one)
        self._overdue.inc(sum(one > delay for one in seconds))

    def pending(self, rows: int) -> None:
        """Publish how many transactions of this worker wait."""
        self._pending.set(rows)

    def describe(self, keys: dict[str, int], size: int, limit: int = 0) -> None:
        """Publish how much the store holds; ``size`` and ``limit`` in bytes, 0 for no limit."""
        for key, count in keys.items():
            self._keys.labels(key).set(count)
        self._bytes.set(size)
        self._bytes_limit.set(limit)
