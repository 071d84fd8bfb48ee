"""The dashboard's row about drift."""

from monitoring.grafana.panels import OF_MODEL, Query, alert_steps, heat, rows, series
from monitoring.grafana.service_rows import Row

_SCORE = f'feature="score", {OF_MODEL}'
_PSI_OF_FEATURES = f'fraud:feature_psi:whole1d{{feature!="score", {OF_MODEL}}}'
_UNSEEN = "sum by (feature) (increase(fraud_unseen_levels_total[$window]))"
_SCORED = "sum(increase(fraud_predictions_total[$window]))"
_UNSEEN_IN_TRAINING = f'fraud_feature_reference_ratio{{bin="(unseen)", {OF_MODEL}}}'


def drift() -> Row:
    """Whether the inputs and scores still look like those that the model was made with."""
    return "Drift", [
        heat(
            "Feature drift",
            "Population stability index of each feature over the last day, against the reference of the model version "
            "that scored. Green below 0.1, red from 0.4. Bad: a line above 0.2. Empty below 2,000 rows a day, and in a "
            "version's first day: part of a day looks like drift of what follows the time of day, `hour` above all.",
            Query(f"max by (feature) ({_PSI_OF_FEATURES})", "{{feature}}"),
            label="feature",
            top=0.4,
            alert="FraudFeatureDrift",
        ),
        rows(
            "Most drifted features",
            "The ten highest population stability indexes of the last day, and the rows behind them. Empty as the map "
            "beside it. Bad: above 0.2 (red). Of several at once look for one cause upstream.",
            Query(f"topk(10, max by (model_version, feature) ({_PSI_OF_FEATURES}))", columns="PSI"),
            Query(
                f"max by (model_version, feature) (fraud:feature_rows:increase1d{{{OF_MODEL}}})"
                f" and topk(10, max by (model_version, feature) ({_PSI_OF_FEATURES}))",
                columns="rows",
            ),
            sort_by="PSI",
            steps={"PSI": alert_steps("FraudFeatureDrift", 0.1)},
            alert="FraudFeatureDrift",
            height=12,
        ),
        series(
            "Score drift over time",
            "Population stability index of the score over the last hour and day, by model version. Bad: the hour above "
            "the line at 0.2 for a quarter of an hour; the day where there is no hour. Nothing below 1,000 rows an "
            "hour and 2,000 a day.",
            "none",
            Query(f"max by (model_version) (fraud:feature_psi:1h{{{_SCORE}}})", "1h {{model_version}}"),
            Query(f"max by (model_version) (fraud:feature_psi:1d{{{_SCORE}}})", "1d {{model_version}}"),
            alert="FraudScoreDrift",
        ),
        series(
            "Rows behind the drift figures",
            "Transactions scored in the last hour and day, by model version. Below 1,000 an hour and 2,000 a day the "
            "indexes are noise and are not shown.",
            "short",
            Query(f"max by (model_version) (fraud:feature_rows:increase1h{{{_SCORE}}})", "1h {{model_version}}"),
            Query(f"max by (model_version) (fraud:feature_rows:increase1d{{{_SCORE}}})", "1d {{model_version}}"),
        ),
        series(
            "Texts that the model does not know",
            "Share of transactions whose category is a text that the model has not learnt, over the chosen window, and "
            "the share of such rows in training. Bad: five points above that for an hour. Empty "
            "where the model has no category.",
            "percentunit",
            Query(f"{_UNSEEN} / ignoring (feature) group_left () ({_SCORED} > 0)", "{{feature}}"),
            Query(f"max by (feature) ({_UNSEEN_IN_TRAINING})", "{{feature}} in training"),
            also=("FraudUnseenLevels",),
        ),
    ]
