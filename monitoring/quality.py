"""Live quality: precision and recall of what was predicted, counted in the database, once labels have had their time.

A prediction is judged when it is older than the label delay. What has no label by then is taken for legitimate, as with
chargebacks, which are reported only when it was fraud; or left out, where both outcomes are reported
(``FRAUD_UNLABELLED``). Without a single label in the window nothing is known, and every figure is NaN. A transaction
scored several times counts once, by its newest prediction; one without an id can never be labelled and is left out.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Engine, Float, Integer, Null, cast, func, null, select

from fraud.inputs.derived import SECONDS_PER_DAY
from monitoring.storage import sums
from monitoring.storage.judged import Period, is_last, newest, scored_in
from monitoring.storage.tables import DECISIONS, LABELS, ORIGINS, SUMS

OUTCOMES = ("true_positive", "false_positive", "false_negative", "true_negative")

Unlabelled = Literal["legitimate", "unknown"]
_Key = tuple[str, int | None, bool]
"""A model version, a day since 1970 (or None), and whether it was called fraud."""
_PREDICTIONS = DECISIONS.join(ORIGINS, ORIGINS.c.id == DECISIONS.c.origin_id)


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

    @classmethod
    def of(cls, version: str, outcomes: dict[str, int], labelled: int, day: str | None = None) -> "ModelQuality":
        """With the figures that follow from the counts."""
        hits, false_alarms, misses, _ = (outcomes[name] if labelled else 0 for name in OUTCOMES)
        figures = {"precision": wilson(hits, hits + false_alarms), "recall": wilson(hits, hits + misses)}
        return cls(version, outcomes, labelled, figures, day)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, None for NaN."""
        figures = {
            figure: {bound: None if math.isnan(value) else value for bound, value in bounds.items()}
            for figure, bounds in self.figures.items()
        }
        counts = {**self.outcomes, "labelled": self.labelled}
        return {**({"day": self.day} if self.day else {}), "model_version": self.model_version, **counts, **figures}


_TRIES = 3
"""How often a question is asked whose sums others drop."""


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
    period = Period.ending(now, delay_days, window_days)
    for _ in range(_TRIES):
        summed = sums.bring_up_to_date(engine, period, now)
        with engine.connect() as connection:
            totals = _totals(connection, period, summed, by_day)
            labelled = _labelled(connection, period, by_day)
            if sums.is_whole(connection, summed):
                break
    models = sorted({(day or 0, version) for version, day, _ in totals})
    return [_judged(version, day if by_day else None, totals, labelled, unlabelled) for day, version in models]


def _judged(
    version: str,
    day: int | None,
    totals: Counter[_Key],
    labelled: Counter[tuple[_Key, bool]],
    unlabelled: Unlabelled,
) -> "ModelQuality":
    def count(flagged: bool, fraud: bool) -> int:
        """So labelled; of legitimate ones also those without a label, where that is what it means."""
        key = (version, day, flagged)
        known = {label: labelled[key, label] for label in (True, False)}
        silent = 0 if fraud or unlabelled == "unknown" else max(0, totals[key] - sum(known.values()))
        return known[fraud] + silent

    outcomes = {
        "true_positive": count(True, True),
        "false_positive": count(True, False),
        "false_negative": count(False, True),
        "true_negative": count(False, False),
    }
    own = sum(number for (key, _), number in labelled.items() if key[:2] == (version, day))
    return ModelQuality.of(version, outcomes, own, None if day is None else _date(day))


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


def _totals(connection: Connection, period: Period, summed: Period, by_day: bool) -> Counter[_Key]:
    """How many transactions are judged, by version, day and decision: of sums, and of the rows beside them."""
    totals = Counter[_Key]()
    day = cast(SUMS.c.bucket // (SECONDS_PER_DAY // sums.BUCKET_SECONDS), Integer) if by_day else null()
    groups: list[ColumnElement[Any]] = [SUMS.c.model_version, day, SUMS.c.is_fraud]
    covered = select(*groups, func.sum(SUMS.c.transactions)).where(sums.covered(summed)).group_by(*_real(groups))
    queries = [covered]
    for beside in (Period(period.start, summed.start), Period(summed.end, period.end)):
        groups = [ORIGINS.c.model_version, _day(by_day), DECISIONS.c.is_fraud]
        rows = select(*groups, func.count()).select_from(_PREDICTIONS).where(newest(beside))
        queries.append(rows.group_by(*_real(groups)))
    for query in queries:
        for row in connection.execute(query):
            totals[row[0], row[1], row[2]] += int(row[3])
    return totals


def _labelled(connection: Connection, period: Period, by_day: bool) -> Counter[tuple[_Key, bool]]:
    """How many of these have a label, by what it says; looked up label by label.

    There are few labels, and without what is added to these columns a database may take it for wiser to go through the
    predictions of the period, or through all.
    """
    groups = [ORIGINS.c.model_version, _day(by_day), DECISIONS.c.is_fraud, LABELS.c.is_fraud]
    name = LABELS.c.transaction_id.concat("")
    query = (
        select(*groups, func.count())
        .select_from(_PREDICTIONS)
        .join(LABELS, name == DECISIONS.c.transaction_id)
        .where(scored_in(period, DECISIONS.c.scored_at + 0.0), is_last())
        .group_by(*_real(groups))
    )
    return Counter({((row[0], row[1], row[2]), row[3]): row[4] for row in connection.execute(query)})


def _day(by_day: bool) -> ColumnElement[Any]:
    day = cast(func.floor(DECISIONS.c.scored_at / SECONDS_PER_DAY, type_=Float), Integer)
    return day if by_day else null()


def _real(groups: Sequence[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    """Those that one can group by."""
    return [one for one in groups if not isinstance(one, Null)]


def _date(days: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(days * SECONDS_PER_DAY, UTC).date().isoformat()
