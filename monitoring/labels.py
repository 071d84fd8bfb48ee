"""Labels: what transactions turned out to be. They arrive late, judge the model, and train the next one.

files -> import_files -> labels -> report (live quality), export (a training increment) -> purge, delete
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import CursorResult, Engine, bindparam, delete, exists, func, select

from fraud.inputs.derived import SECONDS_PER_DAY
from fraud.settings import Settings
from monitoring import database, quality
from monitoring.storage import moving, sums
from monitoring.storage.judged import Period, scored_in
from monitoring.storage.tables import DECISIONS, LABELS

if TYPE_CHECKING:
    from fraud.schema import Schema
    from monitoring.offline.increment import Increment

CHUNK_ROWS = 10_000
"""Rows deleted in one transaction, so that who writes predictions need not wait."""


@contextmanager
def opened(settings: Settings) -> Iterator[Engine]:
    """The database of ``settings`` with its tables. Raises SettingsError without one, else DatabaseError."""
    with database.opened(settings) as engine:
        database.prepare(engine)
        yield engine


def import_files(engine: Engine, sources: Sequence[str], schema: "Schema | None" = None) -> dict[str, Any]:
    """Keep the labels of CSV or Parquet files, all or none; a later label replaces an earlier one. They may be in the
    words of ``schema``.

    ``sources`` are named as ``fraud.remote.sources`` takes them. Raises DataError when a file is not one of labels.
    """
    from fraud.remote.sources import find
    from monitoring.offline.label_file import read_labels

    read = read_labels(find(sources), schema)
    labels = read.labels
    sys.stderr.write(f"{', '.join(sources)}: {len(labels)} labels\n")
    database.put_labels(engine, labels, source="import", now=time.time())
    return {
        "labels": len(labels),
        "frauds": sum(is_fraud for _, is_fraud in labels),
        "without_prediction": len(labels) - _predicted(engine, [name for name, _ in labels]),
        "blank": read.blank,
        "reversed": read.reversed,
        "taken_as": read.taken_as,
        "read_as": read.read_as,
    }


def _predicted(engine: Engine, names: Sequence[str]) -> int:
    """How many of these transactions were scored."""
    count = 0
    with engine.connect() as connection:
        for start in range(0, len(names), 500):
            part = DECISIONS.c.transaction_id.in_(names[start : start + 500])
            count += connection.scalar(select(func.count(DECISIONS.c.transaction_id.distinct())).where(part)) or 0
    return count


def report(engine: Engine, settings: Settings, *, now: float, by_day: bool = False) -> dict[str, Any]:
    """Live quality with its counts and intervals, and what it does not cover."""
    period = Period.ending(now, settings.label_delay_days, settings.live_window_days)
    qualities = quality.measure(
        engine,
        now=now,
        delay_days=settings.label_delay_days,
        window_days=settings.live_window_days,
        unlabelled=settings.unlabelled,
        by_day=by_day,
    )
    without_id = DECISIONS.c.transaction_id.is_(None)
    with engine.connect() as connection:
        counts = {
            "predictions": connection.scalar(select(func.count()).select_from(DECISIONS)),
            "too_young": connection.scalar(select(func.count()).where(DECISIONS.c.scored_at >= period.end)),
            "without_id": connection.scalar(select(func.count()).where(scored_in(period), without_id)),
            "labels": connection.scalar(select(func.count()).select_from(LABELS)),
        }
        kinds = (LABELS.c.source, LABELS.c.key_name)
        writers = connection.execute(select(*kinds, func.count()).group_by(*kinds).order_by(*kinds)).all()
    return {
        "scored_from": _iso(period.start),
        "scored_before": _iso(period.end),
        "label_delay_days": settings.label_delay_days,
        "unlabelled": settings.unlabelled,
        "models": [one.as_dict() for one in qualities],
        "counts": counts,
        "labels_from": [{"source": source, "key_name": key, "labels": labels} for source, key, labels in writers],
    }


def export(
    engine: Engine, settings: Settings, *, now: float, again: bool, labelled_only: bool, schema: str | None = None
) -> "Increment":
    """Labelled transactions that are old enough, as rows of training data; only new ones unless ``again``. Of the
    schema whose name or hash is given, or of that which was used last.

    Raises DataError when there are none, or no label at all to trust the others by.
    """
    from monitoring.offline.increment import Chosen, gather

    period = Period(0.0, now - settings.label_delay_days * SECONDS_PER_DAY)
    unlabelled_too = settings.unlabelled == "legitimate" and not labelled_only
    secret = settings.key_hasher.fingerprint if settings.key_hasher else None
    return gather(engine, Chosen(period, unlabelled_too, again), schema=schema, secret=secret)


def purge(engine: Engine, before: float, *, dry_run: bool = False) -> dict[str, int]:
    """Delete predictions scored ``before`` that time, and labels as old that have no prediction left; how many."""
    old = DECISIONS.c.scored_at < before
    predicted_since = exists().where(
        DECISIONS.c.transaction_id == LABELS.c.transaction_id, DECISIONS.c.scored_at >= before
    )
    orphans = (LABELS.c.labelled_at < before) & ~predicted_since
    if dry_run:
        with engine.connect() as connection:
            predictions = (connection.scalar(select(func.count()).where(old)) or 0) + moving.waiting(engine, before)
            return {"predictions": predictions, "labels": connection.scalar(select(func.count()).where(orphans)) or 0}
    predictions = 0
    moving.move(engine)
    while deleted := _delete_some(engine, before):
        predictions += deleted
        sys.stderr.write(f"{predictions} predictions deleted ...\n")
    with engine.begin() as connection:
        labels: CursorResult[Any] = connection.execute(delete(LABELS).where(orphans))
    return {"predictions": predictions, "labels": labels.rowcount}


def _delete_some(engine: Engine, before: float) -> int:
    some = select(DECISIONS.c.id).where(DECISIONS.c.scored_at < before).limit(CHUNK_ROWS)
    with sums.deleting(engine, before=before) as connection:
        done: CursorResult[Any] = connection.execute(delete(DECISIONS).where(DECISIONS.c.id.in_(some)))
    return done.rowcount


def forget(engine: Engine, names: Sequence[str]) -> dict[str, int]:
    """Delete every prediction and label of these transactions; how many."""
    parameters = [{"name": name} for name in names]
    counts = {}
    moving.move(engine)  # what code of before has written since the tables were brought up to date
    with sums.deleting(engine, names=names) as connection:
        for name, table in (("predictions", DECISIONS), ("labels", LABELS)):
            statement = delete(table).where(table.c.transaction_id == bindparam("name"))
            counts[name] = sum(connection.execute(statement, one).rowcount for one in parameters)
    return counts


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(max(seconds, 0.0), UTC).isoformat(timespec="seconds")
