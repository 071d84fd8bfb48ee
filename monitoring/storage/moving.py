"""Rows of ``predictions``, the table of before, to ``fraud_decisions``: in steps, so that nobody waits for long and an
end on the way leaves each row in one of the two. Code of before may go on writing: run it again for what came since."""

import json
import sys
import time
from collections.abc import Callable

from sqlalchemy import Connection, Engine, inspect, text

from fraud.schema import default
from monitoring.storage import revisions
from monitoring.storage.sent import HASH_LENGTH
from monitoring.storage.tables import DECISIONS, SCHEMAS

OLD = "predictions"
STEP_ROWS = 5_000

_COPIED = {
    "scored_at": "scored_at",
    "transaction_id": "transaction_id",
    "request_id": "request_id",
    "model_version": "model_version",
    "schema_hash": "schema_hash",
    "fraud_probability": "fraud_probability",
    "is_fraud": "is_fraud",
    "amount": "amount",
    "sent_numbers": '"row"',
    "exported_at": "exported_at",
}
"""What each column comes from; the others were not kept."""


def waiting(engine: Engine) -> int:
    """How many rows are still where they were; none where that table is another's, or may not be read."""
    with engine.connect() as connection:
        return _count(connection) if _is_ours(connection) and revisions.may(connection, OLD, "SELECT") else 0


def move(engine: Engine, told: Callable[[str], object] = sys.stderr.write) -> int:
    """Move them all, telling of it; how many. Raises what the database says."""
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
        connection.exec_driver_sql(
            f"INSERT INTO {DECISIONS.name} ({', '.join(_COPIED)}) "  # noqa: S608
            f"SELECT {', '.join(_COPIED.values())} FROM {OLD} WHERE {some} ORDER BY id"
        )
        connection.exec_driver_sql(f"DELETE FROM {OLD} WHERE {some}")  # noqa: S608
        _keep_default(connection)
        return len(ids)


def _keep_default(connection: Connection) -> None:
    """Inputs were kept of the default schema alone."""
    schema = default()
    own = schema.hash[:HASH_LENGTH]
    if connection.scalar(SCHEMAS.select().where(SCHEMAS.c.hash == own)) is None:
        document = json.dumps(schema.document())
        values = {"hash": own, "name": schema.name, "document": document, "first_used_at": time.time()}
        connection.execute(SCHEMAS.insert().values(values))


def _is_ours(connection: Connection) -> bool:
    there = inspect(connection)
    if OLD not in there.get_table_names():
        return False
    columns = {column["name"] for column in there.get_columns(OLD)}
    return columns >= {source.strip('"') for source in _COPIED.values()} - {"request_id"}  # the oldest had none


def _count(connection: Connection) -> int:
    return int(connection.scalar(text(f"SELECT count(*) FROM {OLD}")) or 0)  # noqa: S608
