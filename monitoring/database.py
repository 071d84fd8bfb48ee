"""The database of predictions and labels: SQLite in one file, or Postgres where several replicas write.

Imported only where ``FRAUD_DATABASE_URL`` is set, because SQLAlchemy is. Times are seconds since 1970, UTC.
"""

import sqlite3
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    exc,
    inspect,
    make_url,
)
from sqlalchemy.dialects import postgresql, sqlite

from fraud.errors import FraudError, SettingsError
from fraud.schema import default
from fraud.settings import DATABASE_URL_FORM
from monitoring.storage import added_column, sqlite_engine
from monitoring.storage.sqlite_engine import CONNECT_SECONDS
from monitoring.storage.sqlite_file import SQLiteFile

ROWS_A_STATEMENT = 500 if sqlite3.sqlite_version_info >= (3, 32) else 100  # older ones take 999 values

REFUSED = (exc.IntegrityError, exc.DataError)
"""The database says no to what a row holds: it will never take it. To be caught before AWAY."""
AWAY = (exc.SQLAlchemyError, OSError)
"""Anything else: it cannot be reached, is busy, full, damaged, another one than before: the same may work later."""

_METADATA = MetaData()

PREDICTIONS_TABLE = Table(
    "predictions",
    _METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("scored_at", Float(53), nullable=False, index=True),
    Column("transaction_id", String(64)),
    Column("model_version", String(64), nullable=False),
    Column("fraud_probability", Float(53), nullable=False),
    Column("is_fraud", Boolean, nullable=False),
    Column("amount", Float(53), nullable=False),
    Column("schema_hash", String(12), nullable=False),
    Column("row", LargeBinary),
    Column("exported_at", Float(53)),  # when it became part of a training increment
    Column(added_column.COLUMN, String(added_column.LONGEST)),
)

_WITH_ID = PREDICTIONS_TABLE.c.transaction_id.is_not(None)
Index(
    "ix_predictions_transaction_id",
    PREDICTIONS_TABLE.c.transaction_id,
    sqlite_where=_WITH_ID,
    postgresql_where=_WITH_ID,
)

LABELS_TABLE = Table(
    "labels",
    _METADATA,
    Column("transaction_id", String(64), primary_key=True),
    Column("is_fraud", Boolean, nullable=False),
    Column("labelled_at", Float(53), nullable=False),
    Column("source", String(16), nullable=False),
)

PREDICTIONS_WITH_LABELS = PREDICTIONS_TABLE.outerjoin(
    LABELS_TABLE, LABELS_TABLE.c.transaction_id == PREDICTIONS_TABLE.c.transaction_id
)
"""Predictions, each with its label where there is one."""

HASH_LENGTH = 12
"""Of ``schema_hash``."""
SCHEMA_HASH = default().hash[:HASH_LENGTH]
"""What ``schema_hash`` is in rows of the default schema."""

_LOCKS = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(7223090410)"}
"""What keeps two workers from making the same table at once: checking first is not enough."""

_prepared: "weakref.WeakSet[Engine]" = weakref.WeakSet()
_without_request_id: "weakref.WeakSet[Engine]" = weakref.WeakSet()
_files: "weakref.WeakKeyDictionary[Engine, SQLiteFile]" = weakref.WeakKeyDictionary()
"""Of each engine of SQLite."""


class DatabaseError(FraudError):
    """The database cannot be reached or refused what was asked of it."""


class LoggedPrediction(NamedTuple):
    """One prediction. ``row``: the inputs as little-endian float64 in the order of the default schema."""

    scored_at: float
    transaction_id: str | None
    model_version: str
    fraud_probability: float
    is_fraud: bool
    amount: float
    schema_hash: str
    row: bytes | None
    request_id: str | None = None


def connect(url: str) -> Engine:
    """An engine for ``url``; it connects when it is first used.

    Raises SettingsError, which never shows the URL: it may hold a password.
    """
    try:
        address = make_url(url)
        if address.drivername == "postgresql":
            address = address.set(drivername="postgresql+psycopg")
        if address.get_backend_name() not in _LOCKS:
            raise exc.ArgumentError("neither SQLite nor Postgres")
        if address.get_backend_name() == "sqlite":
            engine = sqlite_engine.make(address)
            _files[engine] = SQLiteFile(Path(str(address.database)))
            return engine
        return create_engine(
            address,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_size=2,
            pool_timeout=CONNECT_SECONDS,
            connect_args={"connect_timeout": CONNECT_SECONDS},
        )
    except (exc.ArgumentError, exc.NoSuchModuleError, ImportError, ValueError):
        raise SettingsError(f"FRAUD_DATABASE_URL is no database: expected {DATABASE_URL_FORM}") from None


def _nobody() -> None:
    """Who is told when nobody asked."""


def prepare(engine: Engine, reopened: Callable[[], None] = _nobody) -> None:
    """Make the tables and indexes that are missing. Raises what the database says.

    SQLite's file is looked at each time. Where it is another than before, that is said, and ``reopened`` called.
    """
    file = _files.get(engine)
    if engine in _prepared and (file is None or file.is_same()):
        return
    if file is None:
        _make_tables(engine)
    else:
        with file.opening:
            file.clear()
            if file.remember(emptied=_make_tables(engine)):
                reopened()
    _prepared.add(engine)


def _make_tables(engine: Engine) -> bool:
    """Whether any was missing. An older one gets the column that it lacks."""
    lock = _LOCKS[engine.dialect.name]
    with engine.begin() as connection:
        missing = not set(_METADATA.tables) <= set(inspect(connection).get_table_names())
        if missing:
            connection.exec_driver_sql(lock)
            _METADATA.create_all(connection)
    _without_request_id.discard(engine)
    if not added_column.ensure(engine, lock, LoggedPrediction._fields):
        _without_request_id.add(engine)
    return missing


def look(engine: Engine, reopened: Callable[[], None]) -> None:
    """Prepare a SQLite file anew that is no more what it was; one that nobody has used is left alone."""
    file = _files.get(engine)
    if file is not None and file.is_lost:
        prepare(engine, reopened)


def forget(engine: Engine) -> None:
    """Look at the tables anew before the next use: somebody may have replaced the database."""
    _prepared.discard(engine)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction. Raises ReplacedError where it went into a SQLite file that is gone."""
    file = _files.get(engine)
    with file.written() if file else nullcontext(), engine.begin() as connection:
        yield connection


def insert(engine: Engine, rows: Sequence[LoggedPrediction]) -> None:
    """Add predictions in one transaction. Raises what the database says; nothing is added then."""
    mark = "?" if engine.dialect.paramstyle == "qmark" else "%s"
    fields = len(LoggedPrediction._fields) - (engine in _without_request_id)
    with writing(engine) as connection:
        for start in range(0, len(rows), ROWS_A_STATEMENT):
            part = [row[:fields] for row in rows[start : start + ROWS_A_STATEMENT]]
            connection.exec_driver_sql(_insert(mark, len(part), fields), tuple(chain.from_iterable(part)))


@lru_cache(maxsize=16)
def _insert(mark: str, rows: int, fields: int) -> str:
    """The driver's own form, many rows in one: for each statement SQLite gives the interpreter to other threads and
    waits to get it back, which beside a busy event loop costs more than the writing."""
    names = ", ".join(f'"{name}"' for name in LoggedPrediction._fields[:fields])
    marks = ", ".join([f"({', '.join([mark] * fields)})"] * rows)
    return f"INSERT INTO predictions ({names}) VALUES {marks}"  # noqa: S608 - our own names


def put_labels(engine: Engine, labels: Sequence[tuple[str, bool]], source: str, now: float) -> int:
    """Keep labels ``(transaction_id, is_fraud)`` in one transaction; a later one replaces an earlier one. How many.

    In the order of the ids: two writers of the same ids in different orders would deadlock in Postgres.
    """
    if not labels:
        return 0
    dialect: Any = postgresql if engine.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(LABELS_TABLE)
    changed = {name: statement.excluded[name] for name in ("is_fraud", "labelled_at", "source")}
    statement = statement.on_conflict_do_update(index_elements=["transaction_id"], set_=changed)
    with writing(engine) as connection:
        connection.execute(
            statement,
            [
                {"transaction_id": name, "is_fraud": is_fraud, "labelled_at": now, "source": source}
                for name, is_fraud in sorted(dict(labels).items())
            ],
        )
    return len(labels)


def line(error: BaseException) -> str:
    """What the driver says, in one line, without the statement and its values, which are customers'."""
    words = str(getattr(error, "orig", None) or error).strip()
    return words.splitlines()[0] if words else type(error).__name__
