"""The dashboard's row of histories: what keys did before, as the service looks it up and adds to it."""

from monitoring.grafana.panels import Query, series
from monitoring.grafana.service_rows import Row

_LATE = "histogram_quantile({}, sum by (le) (increase(fraud_history_label_seconds_bucket[$window])))"


def histories() -> Row:
    """Empty where the model's schema has no ``[[history]]``."""
    return "Histories of keys", [
        series(
            "Histories missing",
            "Transactions per second scored without their history: from the future, the store did not answer within "
            "the deadline, cannot be used, or is full; those added, and those that never will be. Bad: any for long.",
            "short",
            Query("sum by (reason) (rate(fraud_history_missing_total[$window]))", "missing: {{reason}}"),
            Query("sum(rate(fraud_history_added_total[$window]))", "added"),
            Query("sum by (reason) (rate(fraud_history_dropped_total[$window]))", "lost: {{reason}}"),
            also=("FraudHistoryMissing",),
        ),
        series(
            "Histories behind",
            "Transactions that wait to be added to histories, in all workers: the store is away, full or slow. Bad: "
            "what grows; beyond FRAUD_HISTORY_MAX_PENDING a worker they are lost.",
            "short",
            Query("sum(fraud_history_pending)", "waiting"),
            width=4,
            also=("FraudHistoryMissing",),
        ),
        series(
            "Histories kept",
            "Of files: keys of each history, those included whose place is free again, and the disk that they take in "
            "MB; of a Redis the memory that it uses. Damaged: states that were not what was written, in the chosen "
            "window. Bad: any.",
            "short",
            Query("max by (key) (fraud_history_keys)", "{{key}}"),
            Query("max(fraud_history_bytes) / 1000000", "MB"),
            Query("sum(increase(fraud_history_damaged_total[$window]))", "damaged"),
        ),
        series(
            "Memory of histories",
            "Of a Redis that has a limit (maxmemory): the share of it that is used, with whatever else it holds. Bad: "
            "towards 100 %, where every transaction is scored without its history.",
            "percentunit",
            Query("max(fraud_history_bytes / (fraud_history_bytes_limit > 0))", "used"),
            alert="FraudHistoryMemory",
            warn_at=0.7,
            width=4,
        ),
        series(
            "Labels of histories",
            "Labels a second that changed histories, and those that did not: late (no window reaches back to the "
            "transaction), unknown (nobody knows it, or not yet), other_schema (logged with other keys). Bad: unknown "
            "or late for long, where this service scored the transactions.",
            "short",
            Query("sum by (outcome) (rate(fraud_history_labels_total[$window]))", "{{outcome}}"),
        ),
        series(
            "Labels after their delay",
            "Share of the labels of frauds in the chosen window that came after the label_delay of the schema. Bad: "
            "most of them.",
            "percentunit",
            Query(
                "sum(increase(fraud_history_labels_overdue_total[$window])) / "
                "sum(increase(fraud_history_label_seconds_count[$window]))",
                "after the delay",
            ),
            alert="FraudHistoryLabelsLate",
        ),
        series(
            "How late labels are",
            "Time from a fraud to its label, of those that came in the chosen window: half of them had come by then, "
            "and nine in ten. Bad: longer than the label_delay of the schema.",
            "s",
            *(Query(_LATE.format(share), words) for share, words in (("0.5", "half"), ("0.9", "nine in ten"))),
        ),
    ]
