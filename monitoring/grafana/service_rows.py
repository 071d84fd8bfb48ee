"""The dashboard's rows about the service: now, traffic, errors, workers, prediction log, alerts."""

from typing import Any

from monitoring.grafana.panels import ALERT_AT, Query, alert_steps, number, rows, series

Row = tuple[str, list[Any]]

_CALLS = 'runner_name="fraud_detector", endpoint!~"/metrics|/livez|/readyz|/healthz"'
_BUCKETS = "sum by (le) (rate(fraud_prediction_latency_seconds_bucket[$window]))"


def now() -> Row:
    """What the on-call person looks at first."""
    return "Now", [
        number(
            "Instances up",
            "Instances of the service that Prometheus can scrape. Bad: 0, or fewer than you run.",
            "none",
            Query("sum(up and on (instance, pod, namespace, environment, cluster) fraud:instances:known)", "up"),
            steps=((1, "green"),),
            base="red",
            alert="FraudServiceDown",
        ),
        number(
            "Alerts firing",
            "Alerts that fire now, of the chosen services; the table at the end names them. Bad: anything but 0.",
            "none",
            Query('count(ALERTS{alertstate="firing"}) or vector(0)', "firing", together=True),
            steps=((1, "red"),),
        ),
        number(
            "Transactions per second",
            "Transactions scored in the last 5 minutes, over all instances. Bad: 0 where there should be traffic.",
            "reqps",
            Query("fraud:predictions:rate5m", "scored"),
            alert="FraudNoTraffic",
        ),
        number(
            "Error ratio",
            "Share of prediction calls that the service failed in the last 5 minutes: 500, 504, or no model. What a "
            "caller did wrong is not counted. Bad: above 1 %.",
            "percentunit",
            Query("fraud:errors:ratio5m", "errors"),
            steps=alert_steps("FraudErrorRatioHigh", 0.001),
            alert="FraudErrorRatioHigh",
            nothing="no calls",
        ),
        number(
            "p99 latency",
            "99 of 100 prediction calls of the last 5 minutes were answered within this time. Bad: above 250 ms.",
            "s",
            Query("fraud:latency_seconds:p99_5m", "p99"),
            steps=alert_steps("FraudLatencyHigh", 0.1),
            alert="FraudLatencyHigh",
            nothing="no calls",
        ),
        number(
            "Fraud rate in the window",
            "Share called fraud in FRAUD_RATE_WINDOW_SECONDS (5 minutes by default): flagged over scored, each summed "
            "over the instances. Bad: far from what is usual, see the row Fraud.",
            "percentunit",
            Query("sum(fraud_window_flagged) / (sum(fraud_window_scored) > 0)", "called fraud"),
            nothing="no calls",
        ),
        number(
            "Score drift",
            "Highest population stability index of the score in the last hour, or in the last day where an hour has "
            "fewer than 1,000 transactions. Bad: above 0.2. Absent when the day has fewer than 2,000.",
            "none",
            Query('max(fraud:feature_psi:1h{feature="score"} or fraud:feature_psi:1d{feature="score"})', "score PSI"),
            steps=alert_steps("FraudScoreDrift", 0.1),
            alert="FraudScoreDrift",
            nothing="too few rows",
        ),
        number(
            "Age of the model",
            "Time since the newest served model was trained. Bad: above 35 days, as it is retrained every week.",
            "dtdurations",
            Query("time() - max(fraud_model_trained_timestamp_seconds)", "age"),
            steps=alert_steps("FraudModelTooOld", ALERT_AT["FraudModelTooOld"] / 2),
            alert="FraudModelTooOld",
        ),
    ]


def traffic() -> Row:
    """How much is asked, and how fast it is answered."""
    by_status = "sum by (endpoint, http_response_code)"
    return "Traffic and latency", [
        series(
            "Requests by endpoint and status",
            "Calls per second that BentoML answered, probes left out. Bad: 5xx, or a fall to nothing.",
            "reqps",
            Query(
                f"{by_status} (rate(bentoml_service_request_total{{{_CALLS}}}[$window]))",
                "{{endpoint}} {{http_response_code}}",
            ),
            stacked=True,
        ),
        series(
            "Latency of prediction calls",
            "Time from the first byte of a call to its answer. Bad: p99 above the line at 250 ms.",
            "s",
            *(Query(f"histogram_quantile({q}, {_BUCKETS})", f"p{q * 100:g}") for q in (0.5, 0.95, 0.99)),
            alert="FraudLatencyHigh",
            warn_at=0.1,
        ),
        series(
            "Requests in progress",
            "Calls being answered at this moment, over all instances. Bad: growing and not falling again.",
            "short",
            Query(
                f"sum by (endpoint) (bentoml_service_request_in_progress{{{_CALLS}}})",
                "{{endpoint}}",
            ),
        ),
    ]


def errors() -> Row:
    """What was refused or failed, and how calls are batched."""
    return "Errors, shedding and batches", [
        series(
            "Calls not answered, by reason",
            "Prediction calls per second that got no score. internal, timeout, not_ready: the service failed. "
            "overloaded: it shed load. The others are the caller's: malformed, invalid, too_large, not_json, method, "
            "unauthorized, forbidden, disconnected.",
            "reqps",
            Query("sum by (reason) (rate(fraud_prediction_errors_total[$window]))", "{{reason}}"),
            stacked=True,
        ),
        series(
            "Error ratio over time",
            "Share of prediction calls that the service failed, over 5 minutes. Bad: above the line at 1 %.",
            "percentunit",
            Query("fraud:errors:ratio5m", "errors"),
            alert="FraudErrorRatioHigh",
            warn_at=0.001,
            width=5,
        ),
        series(
            "Calls shed",
            "Share of prediction calls refused with 503 because an answer would have come too late, over 5 minutes. "
            "Bad: above the line at 0.1 %: add workers or instances.",
            "percentunit",
            Query("fraud:shed:ratio5m", "shed"),
            alert="FraudShedding",
            width=5,
        ),
        series(
            "Batch size",
            "How many /predict calls were scored together. Bad: always at FRAUD_MAX_BATCH_SIZE, which means that "
            "calls queue.",
            "short",
            Query("fraud:batch_size:mean5m", "mean of 5 minutes"),
            Query(
                "clamp_min(histogram_quantile(0.95, "  # within the bucket "up to 1" it would be a part of a call
                "sum by (le) (rate(bentoml_service_adaptive_batch_size_bucket[$window]))), 1)",
                "p95",
            ),
            width=6,
        ),
        series(
            "Calls past the short cut",
            "Share of prediction calls that BentoML's own path answered: right, at 5 to 16 times the "
            "CPU. Bad: above the line at half of them; the service's log, or how callers send, says why.",
            "percentunit",
            Query(
                "sum(rate(fraud_long_path_total[$window])) "
                "/ sum(rate(fraud_prediction_latency_seconds_count[$window]))",
                "past the short cut",
            ),
            alert="FraudLongPath",
            width=12,
        ),
        series(
            "Calls refused unread, by reason",
            "Calls per second refused before they were read: malformed: no HTTP/1.1. too_large, timeout: the head. "
            "overloaded: too many connections. Bad: any for long; somebody tries the service's bounds.",
            "reqps",
            Query("sum by (reason) (rate(fraud_http_refused_total[$window]))", "{{reason}}"),
            stacked=True,
            width=12,
        ),
    ]


def workers() -> Row:
    """Server processes, and what becomes of what they answered."""
    return "Workers, prediction log and labels", [
        series(
            "Workers",
            "Server processes over all instances. Bad: fewer ready than configured, any that refuse their model, or "
            "none of any kind beside instances.",
            "none",
            Query("count(fraud:instances:known)", "instances"),
            Query("sum(fraud_workers_configured)", "configured"),
            Query("sum(fraud_workers_ready)", "ready"),
            Query("sum(fraud_workers_refused)", "refused"),
            also=("FraudWorkersMissing", "FraudModelRefused", "FraudMetricsMissing"),
        ),
        series(
            "Predictions logged and lost",
            "Rows per second written to the database, and lost: full (it was away too long), shutdown, invalid (it "
            "refused the row). Bad: any loss.",
            "rowsps",
            Query("sum(rate(fraud_log_written_total[$window]))", "written"),
            Query("sum by (reason) (rate(fraud_log_dropped_total[$window]))", "lost: {{reason}}"),
            width=6,
            also=("FraudLogDropping",),
        ),
        series(
            "Predictions waiting to be logged",
            "Rows in memory that the database has not taken yet. Bad: growing. At FRAUD_LOG_MAX_PENDING a worker "
            "loses rows. Cannot write: workers that the database takes nothing from. File replaced: times in the "
            "chosen window that SQLite's file was another than before.",
            "short",
            Query("sum(fraud_log_pending)", "waiting"),
            Query("sum(fraud_log_unwritable)", "workers that cannot write"),
            Query("sum(increase(fraud_log_reopened_total[$window]))", "file replaced"),
            width=5,
            also=("FraudLogUnwritable",),
        ),
        series(
            "Labels received",
            "Labels that POST /feedback took in the chosen window. Imported files are not counted here.",
            "short",
            Query("sum by (label) (increase(fraud_labels_received_total[$window]))", "{{label}}"),
            width=5,
        ),
    ]


def alerts() -> Row:
    """Which alerts fire."""
    labels = "alertname, severity, instance, model_version, feature, reason"
    return "Alerts", [
        rows(
            "Firing alerts",
            "Alerts that fire now. The runbook has a section for each: what to check and what to do.",
            Query(f'count by ({labels}) (ALERTS{{alertstate="firing"}})', columns="series"),
            sort_by="severity",
            width=24,
            nothing="none fires",
        ),
    ]
