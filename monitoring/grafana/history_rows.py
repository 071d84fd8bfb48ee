"""The dashboard's row of histories: what keys did before, as the service looks it up and adds to it."""

from monitoring.grafana.panels import Query, series
from monitoring.grafana.service_rows import Row


def histories() -> Row:
    """Empty where the model's schema has no ``[[history]]``."""
    return "Histories of keys", [
        series(
            "Histories missing",
            "Transactions per second scored without their history: from the future, the store was held beyond the "
            "deadline, or is broken; and those that wait to be added, or never will be. Bad: any for long.",
            "short",
            Query("sum by (reason) (rate(fraud_history_missing_total[$window]))", "missing: {{reason}}"),
            Query("sum(rate(fraud_history_added_total[$window]))", "added"),
            Query("sum(fraud_history_pending)", "waiting"),
            Query("sum by (reason) (rate(fraud_history_dropped_total[$window]))", "lost: {{reason}}"),
            width=12,
            also=("FraudHistoryMissing",),
        ),
        series(
            "Histories kept",
            "Keys of each history, those included whose place is free again, and the disk that the store takes in "
            "MB. Damaged: states that were not what was written, in the chosen window. Bad: any.",
            "short",
            Query("max by (key) (fraud_history_keys)", "{{key}}"),
            Query("max(fraud_history_bytes) / 1000000", "MB"),
            Query("sum(increase(fraud_history_damaged_total[$window]))", "damaged"),
            width=12,
        ),
    ]
