"""Sums of predictions, so that live quality need not go through all of them each time it is asked.

A sum says how many transactions were scored in a bucket of 128 s by a model version, called fraud or not, each by its
newest prediction. Labels are not in it: they come late. It is made once its bucket has been over for an hour, and
dropped when something changes it: a row that came late, a transaction that was scored again, a deletion. The two former
are seen by the numbers of rows, whoever wrote them. A bucket that is summed has a row without a version, too.

Whoever changes sums holds the lock of ``revisions.lock``, in short transactions.
"""

import json
import math
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)

from monitoring.storage import revisions
from monitoring.storage.judged import Period, newest
from monitoring.storage.tables import DECISIONS, ORIGINS, STATE, SUMS

BUCKET_SECONDS = 128
"""A power of two, so that dividing by it is exact; a day has a whole number of them."""
SETTLED_SECONDS = 3600.0
"""How long a bucket has been over when it is summed: until then much is scored again."""
STEP_ROWS = 50_000
"""About as many predictions are summed in one transaction; in a SQLite file nobody else writes meanwhile."""
REST_SECONDS = 0.15
"""Between two of these: who waits for a SQLite file looks for it each tenth of a second."""
SLACK_SECONDS = 300.0
"""Numbers are given in another order than rows become visible: those of so long are looked at again."""
_DROPPED_AT_ONCE = 500
_MARKS = "sums"
_NO_VERSION = ""


def bring_up_to_date(engine: Engine, period: Period, now: float) -> Period:
    """Sum what of ``period`` is not summed; the part of it that sums cover, which may be empty.

    Raises what the database says.
    """
    while not _drop_changed(engine):
        pass
    with engine.connect() as connection:
        first_row = connection.scalar(select(func.min(DECISIONS.c.scored_at)))
    start = max(period.start, -math.inf if first_row is None else first_row - BUCKET_SECONDS)
    settled = min(period.end, min(now, time.time()) - SETTLED_SECONDS)
    first, end = math.ceil(start / BUCKET_SECONDS), _bucket_of(settled)
    if first_row is None or first >= end:
        return Period(period.start, period.start)
    while _sum_some(engine, first, end):
        time.sleep(REST_SECONDS)
    return Period(first * float(BUCKET_SECONDS), end * float(BUCKET_SECONDS))


def covered(period: Period) -> ColumnElement[bool]:
    """Condition on sums: of ``period``, of whole buckets."""
    buckets = SUMS.c.bucket >= _bucket_of(period.start), SUMS.c.bucket < _bucket_of(period.end)
    return buckets[0] & buckets[1] & (SUMS.c.model_version != _NO_VERSION)


def is_whole(connection: Connection, period: Period) -> bool:
    """Whether all of ``period``, of whole buckets, is still summed: another asker may have dropped some meanwhile."""
    first, end = _bucket_of(period.start), _bucket_of(period.end)
    return connection.scalar(select(func.count()).where(_summed(first, end))) == end - first


def _summed(first: int, end: int) -> ColumnElement[bool]:
    """Condition on sums: the row without a version of each bucket from ``first`` to before ``end``."""
    return (SUMS.c.model_version == _NO_VERSION) & (SUMS.c.bucket >= first) & (SUMS.c.bucket < end)


@contextmanager
def deleting(engine: Engine, *, before: float | None = None, names: Collection[str] = ()) -> Iterator[Connection]:
    """A transaction that deletes predictions, scored ``before`` that time or of the transactions ``names``: without
    the sums that they are in."""
    with _locked(engine) as connection:
        if before is not None:
            connection.execute(delete(SUMS).where(SUMS.c.bucket <= _bucket_of(before)))
        for name in names:
            of_name = select(_bucket(DECISIONS.c.scored_at)).where(DECISIONS.c.transaction_id == name)
            connection.execute(delete(SUMS).where(SUMS.c.bucket.in_(of_name)))
        yield connection
        if marks := _marks(connection):  # SQLite gives the number of the last row again
            last = _last(connection)
            _mark(connection, min(marks["done"], last), min(marks["seen"], last))


@contextmanager
def _locked(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as connection:
        revisions.lock(connection)
        yield connection


def _drop_changed(engine: Engine) -> bool:
    """Drop the sums that rows have changed which came since the last time; False where somebody else did meanwhile.

    Which they are is found before the lock is held: what comes later is looked at the next time.
    """
    with engine.connect() as connection:
        before, last = _marks(connection), _last(connection)
        marks = before if before and before["done"] <= last else None  # else an older state was brought back
        changed = _changed(connection, marks["done"]) if marks else []
        done = _known(connection, last) if marks is None else marks["seen"]
    with _locked(engine) as connection:
        if _marks(connection) != before:
            return False
        if marks is None:
            connection.execute(delete(SUMS))
        for start in range(0, len(changed), _DROPPED_AT_ONCE):
            part = changed[start : start + _DROPPED_AT_ONCE]
            connection.execute(delete(SUMS).where(SUMS.c.bucket.in_(part)))
        if marks is None or not 0 <= time.time() - marks["seen_at"] < SLACK_SECONDS:  # a clock may have been wrong
            _mark(connection, done, last)
    return True


def _changed(connection: Connection, done: int) -> list[int]:
    """The buckets of transactions that were scored again, or late, by rows after the number ``done``."""
    added = DECISIONS.alias("added")
    same = added.c.transaction_id.concat("") == DECISIONS.c.transaction_id  # or SQLite goes through all of the latter
    buckets = select(_bucket(DECISIONS.c.scored_at)).join(added, same).where(added.c.id > done)
    return sorted(connection.scalars(buckets.distinct()))


def _known(connection: Connection, last: int) -> int:
    """The number before the first row of the last SLACK_SECONDS, up to which all are visible."""
    lately = DECISIONS.c.scored_at >= time.time() - SLACK_SECONDS
    first = connection.scalar(select(func.min(DECISIONS.c.id)).where(lately))
    return last if first is None else int(first) - 1


def _sum_some(engine: Engine, first: int, end: int) -> bool:
    """Sum the first buckets that are not, from ``first`` to before ``end``; whether there may be more."""
    with _locked(engine) as connection:
        there = set(connection.scalars(select(SUMS.c.bucket).where(_summed(first, end))))
        start = next((bucket for bucket in range(first, end) if bucket not in there), None)
        if start is None:
            return False
        gap_end = next((bucket for bucket in range(start + 1, end) if bucket in there), end)
        stop = min(gap_end, _after_some(connection, start, end))
        _sum(connection, start, stop)
    return stop < end


def _after_some(connection: Connection, start: int, end: int) -> int:
    """The bucket behind that of the row ``STEP_ROWS`` later."""
    scored_at = DECISIONS.c.scored_at
    later = select(scored_at).where(scored_at >= start * float(BUCKET_SECONDS)).order_by(scored_at)
    row = connection.scalar(later.offset(STEP_ROWS).limit(1))
    return end if row is None else _bucket_of(row) + 1


def _sum(connection: Connection, start: int, end: int) -> None:
    bucket = _bucket(DECISIONS.c.scored_at)
    groups = (bucket, ORIGINS.c.model_version, DECISIONS.c.is_fraud)
    counts = (
        select(*groups, func.count())
        .select_from(DECISIONS.join(ORIGINS, ORIGINS.c.id == DECISIONS.c.origin_id))
        .where(newest(Period(start * float(BUCKET_SECONDS), end * float(BUCKET_SECONDS))))
        .group_by(*groups)
    )
    connection.execute(insert(SUMS).from_select([column.name for column in SUMS.columns], counts))
    nothing = {"model_version": _NO_VERSION, "is_fraud": False, "transactions": 0}
    connection.execute(insert(SUMS), [{"bucket": one, **nothing} for one in range(start, end)])


def _bucket(scored_at: ColumnElement[float]) -> ColumnElement[int]:
    return cast(func.floor(scored_at / literal(float(BUCKET_SECONDS))), BigInteger)


def _bucket_of(seconds: float) -> int:
    return math.floor(seconds / BUCKET_SECONDS)


def _last(connection: Connection) -> int:
    """The highest number of a row."""
    return int(connection.scalar(select(func.max(DECISIONS.c.id))) or 0)


def _marks(connection: Connection) -> dict[str, Any] | None:
    """Up to which row all changes are known (``done``), and which was the last at a time (``seen``, ``seen_at``)."""
    text = connection.scalar(select(STATE.c.document).where(STATE.c.name == _MARKS))
    return json.loads(text) if text else None


def _mark(connection: Connection, done: int, seen: int) -> None:
    now = time.time()
    values = {"due_at": now, "document": json.dumps({"done": done, "seen": seen, "seen_at": now})}
    if not connection.execute(update(STATE).where(STATE.c.name == _MARKS).values(values)).rowcount:
        connection.execute(insert(STATE).values(name=_MARKS, **values))
