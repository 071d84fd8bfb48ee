"""Connections to a SQLite file: one for each transaction, writing ahead."""

import sqlite3
import time
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, exc, pool

CONNECT_SECONDS = 5
"""How long a connection, or a lock on a SQLite file, is waited for."""

_PAGE_BYTES = 16 * 1024
"""SQLite's own 4 KiB hold seven predictions: a tenth of the work of writing is that of filling pages."""
_AHEAD_BYTES = 4 * 1024 * 1024

_OPTIONS = {"timeout": CONNECT_SECONDS, "cached_statements": 16}  # statements of many rows are large


def make(address: URL) -> Engine:
    """An engine that opens the file anew for each transaction (1 ms): what has it open writes on after it is deleted.

    It writes ahead (WAL), so that readers and a writer do not wait for each other, and overwrites what it deletes.
    Raises ArgumentError for a database in memory: every connection would have its own.
    """
    if not address.database or address.database == ":memory:":
        raise exc.ArgumentError("no file")
    engine = create_engine(address, hide_parameters=True, connect_args=_OPTIONS, poolclass=pool.NullPool)

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's own
        connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")  # of a new file; another keeps its own
        _write_ahead(connection)
        for pragma in ("synchronous=NORMAL", "secure_delete=ON", f"wal_autocheckpoint={_AHEAD_BYTES // _PAGE_BYTES}"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _write_ahead(connection: Any) -> None:  # noqa: ANN401
    """Turn a SQLite file to WAL. While another does so SQLite refuses at once, whatever the timeout: try again."""
    ends = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > ends:
                raise
            time.sleep(0.01)
        else:
            return
