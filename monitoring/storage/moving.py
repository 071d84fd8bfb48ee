"""Rows of ``predictions``, the table of before, to ``fraud_decisions``: in steps, so that nobody waits for long and an
end on the way leaves each row in one of the two. Code of before may go on writing: run it again for what came since."""

import math
import sys
from collections.abc import Callable

from sqlalchemy import Connection, Engine, inspect, text

from fraud.schema import default
from monitoring.storage import origins, revisions
from monitoring.storage.sent import HASH_LENGTH
from monitoring.storage.tables import DECISIONS, Origin

OLD = "predictions"
STEP_ROWS = 5_000

_COPIED = (
    "scored_at",
    "transaction_id",
    "request_id",
    "fraud_probability",
    "is_fraud",
    "amount",
    "exported_at",
)


def waiting(engine: Engine, before: float = math.inf) -> int:
    """How many rows, scored ``before`` that time, are still where they were; none where that table is another's, or may
    not be read."""
    with engine.connect() as connection:
        if not (_is_ours(connection) and revisions.may(connection, OLD, "SELECT")):
            return 0
        query = text(f"SELECT count(*) FROM {OLD} WHERE scored_at < :before")  # noqa: S608 - our own name
        return int(connection.scalar(query, {"before": before}) or 0)


def move(engine: Engine, told: Callable[[str], object] | None = None) -> int:
    """Move them all, telling of it, on stderr by default; how many. Raises what the database says."""
    told = told or sys.stderr.write
    rows = waiting(engine)
    moved = 0
    while step := _move_some(engine):
        moved += step
        told(f"{moved} of {max(rows, moved)} predictions moved ...\n")
    return moved


def _move_some(engine: Engine) -> int:
    with engine.begin() as connection:
        revisions.lock(connection)
        if not _is_ours(connection):
            return 0
        query = text(f"SELECT id FROM {OLD} ORDER BY id LIMIT {STEP_ROWS}")  # noqa: S608 - our own names
        ids = connection.scalars(query).all()
        if not ids:
            return 0
        some = f"id IN ({', '.join(map(str, ids))})"  # numbers that the database gave
        _copy(connection, some)
        connection.exec_driver_sql(f"DELETE FROM {OLD} WHERE {some}")  # noqa: S608
        return len(ids)


def _copy(connection: Connection, some: str) -> None:
    """With thresholds and keys that nobody knows any more. Inputs were kept of the default schema alone."""
    there = {column["name"] for column in inspect(connection).get_columns(OLD)}
    sources = [name if name in there else "NULL" for name in _COPIED]  # the oldest have no request ids
    said = connection.exec_driver_sql(f"SELECT DISTINCT model_version, schema_hash FROM {OLD} WHERE {some}")  # noqa: S608
    known = [Origin(one.model_version, one.schema_hash) for one in said]
    origins.keep(connection, known, {default().hash[:HASH_LENGTH]: default()})
    for origin in known:
        statement = (
            f"INSERT INTO {DECISIONS.name} (origin_id, {', '.join(_COPIED)}, sent) "  # noqa: S608
            f'SELECT {origin.number}, {", ".join(sources)}, "row" FROM {OLD} '
            f"WHERE {some} AND model_version = :version AND schema_hash = :hash ORDER BY id"
        )
        connection.execute(text(statement), {"version": origin.model_version, "hash": origin.schema_hash})


def _is_ours(connection: Connection) -> bool:
    there = inspect(connection)
    if OLD not in there.get_table_names():
        return False
    columns = {column["name"] for column in there.get_columns(OLD)}
    needed = {*_COPIED, "model_version", "schema_hash", "row"}
    return columns >= needed - {"request_id"}  # the oldest had none
