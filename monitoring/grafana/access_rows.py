"""The dashboard's row about keys: who is turned away, and whether keys are asked for at all."""

from monitoring.grafana.panels import Query, number, series
from monitoring.grafana.service_rows import Row


def access() -> Row:
    """Calls without a key, and instances that ask for none."""
    return "Keys", [
        series(
            "Calls without a known key, by path",
            "Calls per minute that were answered 401 or 403, of any path that needs a key. Bad: above the line at 20: "
            "somebody guesses keys, or a caller has lost its key. The service's log names addresses, never keys.",
            "cpm",
            Query("60 * sum by (path) (rate(fraud_unauthorized_total[$window]))", "{{path}}"),
            alert="FraudUnauthorizedCalls",
            warn_at=1,
            width=20,
            stacked=True,
        ),
        number(
            "Keys required",
            "Whether each instance asks for a key before it scores: 1, or 0 where whoever reaches the port may score.",
            "none",
            Query("min(fraud_keys_required)", "required"),
            steps=((1, "green"),),
            base="yellow",
            alert="FraudKeysNotRequired",
            width=4,
            height=8,
        ),
    ]
