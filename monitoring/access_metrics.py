"""Whether callers need keys, and how many calls brought none: ``FraudMetrics.access``."""

from prometheus_client import CollectorRegistry, Counter, Gauge

OTHER = "other"
GUARDED = ("/predict", "/predict_batch", "/feedback", "/model", "/metrics", OTHER)
"""Paths that may need a key; OTHER stands for any that is not named here."""


class AccessMetrics:
    """All metrics of keys, of one worker process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        unauthorized = Counter(
            "fraud_unauthorized",
            "Calls without a known key (401), or with one of another kind (403), by path.",
            ["path"],
            registry=registry,
        )
        self._unauthorized = {path: unauthorized.labels(path) for path in GUARDED}
        self._required = Gauge(
            "fraud_keys_required",
            "Whether a key is needed to score: 1, or 0 where everybody may.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )

    def unauthorized(self, path: str) -> None:
        """Count a call that brought no known key, or none for this path."""
        self._unauthorized[path if path in self._unauthorized else OTHER].inc()

    def describe(self, *, keys_required: bool) -> None:
        """Publish whether a key is needed to score."""
        self._required.set(keys_required)
