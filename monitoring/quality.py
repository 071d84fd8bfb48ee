"""Live quality: precision and recall of what was predicted, counted in the database, once labels have had their time.

A prediction is judged when it is older than the label delay. What has no label by then is taken for legitimate, as with
chargebacks, which are reported only when it was fraud; or left out, where both outcomes are reported
(``FRAUD_UNLABELLED``). Without a single label in the window nothing is known, and every figure is NaN. A transaction
scored several times counts once, by its newest prediction; one without an id can never be labelled and is left out.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Engine, Float, Integer, Select, and_, case, cast, func, or_, select

from fraud.inputs.derived import SECONDS_PER_DAY
from monitoring.storage.tables import DECISIONS, DECISIONS_WITH_LABELS, LABELS, ORIGINS

OUTCOMES = ("true_positive", "false_positive", "false_negative", "true_negative")

Unlabelled = Literal["legitimate", "unknown"]


@dataclass(frozen=True)
class Period:
    """Which predictions are judged: scored from ``start`` to before ``end``, seconds since 1970, UTC."""

    start: float
    end: float

    @classmethod
    def ending(cls, now: float, delay_days: float, window_days: float) -> "Period":
        """The period that is old enough for labels at ``now``."""
        end = now - delay_days * SECONDS_PER_DAY
        return cls(end - window_days * SECONDS_PER_DAY, end)


@dataclass(frozen=True)
class ModelQuality:
    """Quality of one model version (on one day, where asked for by day)."""

    model_version: str
    outcomes: dict[str, int]
    """How many of each of OUTCOMES; a positive is a transaction called fraud."""
    labelled: int
    """How many of these have a label of their own."""
    figures: dict[str, dict[str, float]]
    """Precision and recall, each ``{"value", "low", "high"}`` with its Wilson 95 % interval; NaN where undefined."""
    day: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, None for NaN."""
        figures = {
            figure: {bound: None if math.isnan(value) else value for bound, value in bounds.items()}
            for figure, bounds in self.figures.items()
        }
        counts = {**self.outcomes, "labelled": self.labelled}
        return {**({"day": self.day} if self.day else {}), "model_version": self.model_version, **counts, **figures}


def measure(
    engine: Engine,
    *,
    now: float,
    delay_days: float,
    window_days: float,
    unlabelled: Unlabelled = "legitimate",
    by_day: bool = False,
) -> list[ModelQuality]:
    """Quality per model version, and per day of scoring (UTC) when ``by_day``; in order of version or day.

    Raises what the database says.
    """
    with engine.connect() as connection:
        rows = connection.execute(_counts(Period.ending(now, delay_days, window_days), by_day)).all()
    return [_quality(row, unlabelled) for row in rows]


def wilson(successes: int, trials: int) -> dict[str, float]:
    """A share with its Wilson 95 % score interval (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    >>> {name: round(value, 3) for name, value in wilson(9, 10).items()}
    {'value': 0.9, 'low': 0.596, 'high': 0.982}
    """
    if not trials:
        return dict.fromkeys(("value", "low", "high"), math.nan)
    z = 1.959963984540054
    share, spread = successes / trials, z * z / trials
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    # at the ends rounding leaves the share itself just outside
    return {"value": share, "low": min(share, max(0.0, middle - half)), "high": max(share, min(1.0, middle + half))}


def newest(period: Period) -> ColumnElement[bool]:
    """Condition on predictions: scored in ``period``, with an id, and no newer prediction of the same transaction.

    Newer by time: a worker that could not write for a while writes its old predictions after others' new ones.
    """
    newer = DECISIONS.alias("newer")
    same_time = and_(newer.c.scored_at == DECISIONS.c.scored_at, newer.c.id > DECISIONS.c.id)
    superseded = select(newer.c.id).where(
        newer.c.transaction_id == DECISIONS.c.transaction_id,
        or_(newer.c.scored_at > DECISIONS.c.scored_at, same_time),
    )
    return and_(scored_in(period), DECISIONS.c.transaction_id.is_not(None), ~superseded.exists())


def scored_in(period: Period) -> ColumnElement[bool]:
    """Condition on predictions: scored in ``period``."""
    return and_(DECISIONS.c.scored_at >= period.start, DECISIONS.c.scored_at < period.end)


def _counts(period: Period, by_day: bool) -> Select[Any]:
    """Version (and day), then rows by decision and label: called fraud or not; labelled fraud, legitimate, or not."""
    flagged, fraud = DECISIONS.c.is_fraud, LABELS.c.is_fraud
    day = cast(func.floor(DECISIONS.c.scored_at / SECONDS_PER_DAY, type_=Float), Integer)
    groups = [ORIGINS.c.model_version, *([day.label("day")] if by_day else [])]

    def count(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
        return func.sum(case((and_(*conditions), 1), else_=0))

    return (
        select(
            *groups,
            count(flagged, fraud.is_(True)).label("flagged_fraud"),
            count(flagged, fraud.is_(False)).label("flagged_legitimate"),
            count(flagged, fraud.is_(None)).label("flagged_unknown"),
            count(~flagged, fraud.is_(True)).label("passed_fraud"),
            count(~flagged, fraud.is_(False)).label("passed_legitimate"),
            count(~flagged, fraud.is_(None)).label("passed_unknown"),
        )
        .select_from(DECISIONS_WITH_LABELS)
        .where(newest(period))
        .group_by(*groups)
        .order_by(*reversed(groups))
    )


def _quality(row: Any, unlabelled: Unlabelled) -> ModelQuality:  # noqa: ANN401 - a row of _counts
    legitimate = int(unlabelled == "legitimate")
    outcomes = {
        "true_positive": row.flagged_fraud,
        "false_positive": row.flagged_legitimate + legitimate * row.flagged_unknown,
        "false_negative": row.passed_fraud,
        "true_negative": row.passed_legitimate + legitimate * row.passed_unknown,
    }
    labelled = row.flagged_fraud + row.flagged_legitimate + row.passed_fraud + row.passed_legitimate
    hits, false_alarms, misses, _ = outcomes.values() if labelled else (0, 0, 0, 0)
    figures = {"precision": wilson(hits, hits + false_alarms), "recall": wilson(hits, hits + misses)}
    return ModelQuality(
        row.model_version, outcomes, labelled, figures, _date(row.day) if "day" in row._mapping else None
    )


def _date(days: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(days * SECONDS_PER_DAY, UTC).date().isoformat()
