"""``request_id``, which the table of predictions did not always have: added when a database is opened that is older.

Where that is not allowed, predictions are written without it; the log says so once.
"""

import logging
from collections.abc import Collection
from functools import cache

from sqlalchemy import Connection, Engine, exc, inspect

LOG = logging.getLogger("bentoml.fraud")

TABLE, COLUMN, LONGEST = "predictions", "request_id", 128
_WAIT_SECONDS = 2
"""For readers of the table, in Postgres: who writes must not wait for a backup."""


def ensure(engine: Engine, lock: str, columns: Collection[str]) -> bool:
    """Whether the column is there, or could be added; ``lock`` is the statement that keeps others from doing the same.

    A table that lacks another of ``columns`` is somebody else's, and left alone. Raises what the database says when it
    is away or busy.
    """
    with engine.connect() as connection:
        there = _columns(connection)
    if COLUMN in there:
        return True
    if not there >= set(columns) - {COLUMN}:
        return False
    try:
        with engine.begin() as connection:
            _add(connection, lock)
    except exc.DBAPIError as error:
        if _may_pass(error):
            raise
        _tell_once(str(error.orig).strip().partition("\n")[0])
        return False
    return True


def _add(connection: Connection, lock: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_WAIT_SECONDS}s'")
    connection.exec_driver_sql(lock)
    if COLUMN not in _columns(connection):  # another worker may have been first
        connection.exec_driver_sql(f"ALTER TABLE {TABLE} ADD COLUMN {COLUMN} VARCHAR({LONGEST})")


def _may_pass(error: exc.DBAPIError) -> bool:
    """Whether the database is away or, SQLite, busy: Postgres' own refusals, a reader in the way too, have a code."""
    never_answered = getattr(error.orig, "sqlstate", "") is None
    return error.connection_invalidated or never_answered or "locked" in str(error.orig)


def _columns(connection: Connection) -> set[str]:
    return {column["name"] for column in inspect(connection).get_columns(TABLE)}


@cache
def _tell_once(problem: str) -> None:
    statement = f"ALTER TABLE {TABLE} ADD COLUMN {COLUMN} VARCHAR({LONGEST})"
    LOG.warning("predictions are written without their request ids (%s); let its owner run: %s", problem, statement)
