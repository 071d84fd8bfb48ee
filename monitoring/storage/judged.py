"""Which predictions are judged, as conditions of SQL: said once for live quality, its sums, and what is exported."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, or_, select

from fraud.inputs.derived import SECONDS_PER_DAY
from monitoring.storage.tables import DECISIONS


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


def scored_in(period: Period, scored_at: ColumnElement[float] = DECISIONS.c.scored_at) -> ColumnElement[bool]:
    """Condition on predictions: scored in ``period``."""
    return and_(scored_at >= period.start, scored_at < period.end)


def newest(period: Period) -> ColumnElement[bool]:
    """Condition on predictions: scored in ``period``, with an id, and no newer prediction of the same transaction."""
    return and_(scored_in(period), DECISIONS.c.transaction_id.is_not(None), is_last())


def is_last() -> ColumnElement[bool]:
    """Condition on predictions with an id: none of the same transaction is newer.

    Newer by time: a worker that could not write for a while writes its old predictions after others' new ones.
    """
    newer = DECISIONS.alias("newer")
    same_time = and_(newer.c.scored_at == DECISIONS.c.scored_at, newer.c.id > DECISIONS.c.id)
    superseded = select(newer.c.id).where(
        newer.c.transaction_id == DECISIONS.c.transaction_id,
        or_(newer.c.scored_at > DECISIONS.c.scored_at, same_time),
    )
    return ~superseded.exists()
