"""The dashboard's rows about the model: fraud rate, scores, live quality, and which model it is."""

from fraud.manifest import BINS
from fraud.profile import SCORE_EDGES
from monitoring.grafana.panels import (
    ALERT_AT,
    OF_MODEL,
    Query,
    bars,
    figure,
    heat,
    number,
    rows,
    series,
)
from monitoring.grafana.queries import APART
from monitoring.grafana.service_rows import Row

_SCORE = f'feature="score", {OF_MODEL}'


def fraud() -> Row:
    """What is called fraud."""
    decided = "increase(fraud_predictions_total{0}[$window])"
    flagged, scored = decided.format('{decision="fraud"}'), decided.format("")
    return "Fraud", [
        series(
            "Fraud rate",
            "Share of transactions called fraud: over the chosen window and, fixed, over 5 minutes, an hour and a day. "
            "Bad: the hour at twice or half of the day, "
            "and of the same hour a day before, which is an attack, inputs that changed, or fraud unseen.",
            "percentunit",
            Query(f"sum({flagged}) / (sum({scored}) > 0)", "$window (chosen)"),
            *(Query(f"fraud:fraud_ratio:{window}", window) for window in ("5m", "1h", "1d")),
            width=10,
            also=("FraudRateJumpedUp", "FraudRateDropped"),
        ),
        series(
            "Transactions by decision",
            "Transactions per second, over all instances.",
            "reqps",
            Query("sum by (decision) (rate(fraud_predictions_total[$window]))", "{{decision}}"),
            width=7,
            stacked=True,
        ),
        series(
            "Amount called fraud per hour",
            "Sum of the amounts of transactions called fraud, in the currency of the calls, at the pace of the "
            "window: what is at stake, and what is blocked wrongly if precision falls.",
            "short",
            Query("3600 * sum(rate(fraud_flagged_amount_total[$window]))", "in the chosen window"),
            Query("3600 * fraud:flagged_amount:rate5m", "in 5 minutes"),
            width=7,
        ),
    ]


def scores() -> Row:
    """How the scores spread."""
    counts = f"increase(fraud_feature_bin_total{{{_SCORE}}}[$window])"
    shares = (
        f"sum by (model_version, bin) ({counts}) / ignoring (bin) group_left () (sum by (model_version) ({counts}) > 0)"
    )
    reference = f"max by (model_version, bin) (fraud_feature_reference_ratio{{{_SCORE}}})"
    both = (
        f'sum by (bin, series) (label_replace({_named(shares)}, "series", "$1 served", "series", "(.*?) *")'
        f' or label_replace({_named(reference)}, "series", "$1 reference", "series", "(.*?) *"))'
    )
    return "Scores", [
        bars(
            "Score distribution by model version",
            "Share of transactions in each bin of the score over the chosen window, beside the reference stored with "
            "the model (its validation rows). Logarithmic. Bad: bars that part from their reference by a multiple.",
            Query(both, "{{series}}"),
            bin_names(),
        ),
        heat(
            "Scores over time",
            "Transactions in each band of the score within the chosen window, at each moment, of the chosen services "
            "together; the label is the band's upper end. Bad: the dark lines move.",
            Query("sum by (le) (increase(fraud_score_bucket[$window]))", "{{le}}", together=True),
            label="fraud probability up to",
        ),
    ]


def _named(expr: str) -> str:
    labels = ", ".join(f'"{name}"' for name in ("model_version", *APART))
    return f'label_join({expr}, "series", " ", {labels})'


def bin_names() -> dict[str, str]:
    """How the bins of the score are worded, by the label ``bin``."""
    lower, upper = (0.0, *SCORE_EDGES), (*SCORE_EDGES, 1.0)
    return {str(number): f"{lower[number]:g} to {upper[number]:g}" for number in range(BINS)}


def quality() -> Row:
    """How right the model was, of what is old enough for labels. The instances read one database: max, never sum."""
    return "Live quality (of predictions older than the label delay)", [
        figure("Live precision", *_bounds("precision", "Of what was called fraud, the share that was.")),
        figure("Live recall", *_bounds("recall", "Of the fraud, the share that was called so.")),
        series(
            "Judged transactions by outcome",
            "Counts behind precision and recall, in FRAUD_LIVE_WINDOW_DAYS. Legitimate transactions that passed are "
            "left out: there are too many. Bad: false_negative or false_positive rising.",
            "short",
            Query(
                f'max by (model_version, outcome) (fraud_live_transactions{{outcome!="true_negative", {OF_MODEL}}})',
                "{{outcome}} {{model_version}}",
            ),
        ),
        number(
            "Precision for sure",
            "Upper end of the 95 % interval of the served model's precision. Bad: below 80 %: then it is surely lower.",
            "percentunit",
            Query(
                f'max by (model_version) (fraud_live_quality{{figure="precision", bound="high", {OF_MODEL}}})',
                "{{model_version}}",
            ),
            steps=((ALERT_AT["FraudLivePrecisionFell"], "green"),),
            base="red",
            alert="FraudLivePrecisionFell",
            width=6,
            nothing="no labels",
        ),
        *_labels(),
    ]


def _bounds(name: str, meaning: str) -> tuple[str, list[Query]]:
    text = (
        f"{meaning} With its 95 % interval (Wilson) as the thin lines, by model version. Bad: the whole interval "
        "falls. Absent while there is no label at all."
    )
    return text, [
        Query(
            f'max by (model_version) (fraud_live_quality{{figure="{name}", bound="{bound}", {OF_MODEL}}})',
            "{{model_version}}" if bound == "value" else "{{model_version}} " + bound,
        )
        for bound in ("value", "low", "high")
    ]


def _labels() -> list[object]:
    return [
        number(
            "Transactions judged",
            "Transactions in the window that precision and recall rest on.",
            "short",
            Query(f"sum by (model_version) (max by (model_version, outcome) (fraud_live_transactions{{{OF_MODEL}}}))"),
            width=6,
        ),
        number(
            "Transactions labelled",
            "How many of them have a label of their own. The others count as FRAUD_UNLABELLED says.",
            "short",
            Query(f"max by (model_version) (fraud_live_labelled{{{OF_MODEL}}})"),
            width=6,
        ),
        number(
            "Label delay",
            "A prediction younger than this is not judged (FRAUD_LABEL_DELAY_DAYS). Figures are this old at least.",
            "dtdurations",
            Query("max(fraud_label_delay_seconds)", "delay"),
            width=6,
        ),
    ]


def model() -> Row:
    """Which model serves, and how it was built."""
    return "Model and build", [
        rows(
            "Models served",
            "The model of each instance: its version, the git revision it was trained from, and whether it was trained "
            "on synthetic data. Bad: two versions for long, or synthetic=true in production.",
            Query("max by (instance, model_version, git_revision, synthetic) (fraud_model_info)"),
            sort_by="instance",
            alert="FraudModelRefused",
            height=6,
        ),
        number(
            "Threshold",
            "Score from which a transaction is called fraud, lowest and highest over the instances; it is stored with "
            "the model. Bad: two values for long.",
            "none",
            Query("min(fraud_threshold)", "lowest"),
            Query("max(fraud_threshold)", "highest"),
            width=6,
            height=6,
        ),
        number(
            "Trained at",
            "When the newest served model was trained.",
            "dateTimeAsIso",
            Query("1000 * max(fraud_model_trained_timestamp_seconds)", "trained"),
            alert="FraudModelTooOld",
            width=6,
            height=6,
        ),
    ]
