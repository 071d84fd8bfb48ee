"""The database of predictions and labels: SQLite in one file, or Postgres where several replicas write.

Imported only where ``FRAUD_DATABASE_URL`` is set, because SQLAlchemy is. Times are seconds since 1970, UTC.
"""

import sqlite3
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from itertools import chain
from pathlib import Path

from sqlalchemy import Connection, Engine, case, create_engine, exc

from fraud.errors import FraudError, SettingsError
from fraud.schema import Schema
from fraud.settings import DATABASE_URL_FORM, Settings, not_set
from monitoring.storage import address as addresses
from monitoring.storage import origins, revisions, sqlite_engine
from monitoring.storage.revisions import NotReadyError
from monitoring.storage.sqlite_engine import CONNECT_SECONDS
from monitoring.storage.sqlite_file import ReplacedError, SQLiteFile
from monitoring.storage.tables import DECISIONS, LABELS, LoggedPrediction, Origin

ROWS_A_STATEMENT = 250 if sqlite3.sqlite_version_info >= (3, 32) else 100  # older ones take 999 values

REFUSED = (exc.IntegrityError, exc.DataError)
"""The database says no to what a row holds, unless it takes none at all: see ``is_a_rows_fault``."""
AWAY = (exc.SQLAlchemyError, OSError)
"""These, and anything else: it cannot be reached, is busy, full, damaged, not ready: the same may work later."""

_POSTGRES = {
    "connect_timeout": CONNECT_SECONDS,
    "client_encoding": "utf8",  # a server of SQL_ASCII has none of its own
    "tcp_user_timeout": 15_000,  # ms that a server which hangs may say nothing
    "prepare_threshold": None,  # behind a pooler the next transaction may be on a connection that prepared nothing
}
_LIMITS = "SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '30s'"
"""Of a transaction that writes: who waits for ever is seen by nobody."""

_prepared: "weakref.WeakSet[Engine]" = weakref.WeakSet()
_files: "weakref.WeakKeyDictionary[Engine, SQLiteFile]" = weakref.WeakKeyDictionary()
"""Of each engine of SQLite."""


class DatabaseError(FraudError):
    """The database cannot be reached or refused what was asked of it."""


def connect(url: str) -> Engine:
    """An engine for ``url``; it connects when it is first used.

    Raises SettingsError, which never shows the URL: it may hold a password.
    """
    address = addresses.check(url)
    try:
        if address.drivername == "postgresql":
            address = address.set(drivername="postgresql+psycopg")
        if address.get_backend_name() not in ("sqlite", "postgresql"):
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
            connect_args=_POSTGRES,
        )
    except (exc.ArgumentError, exc.NoSuchModuleError, ImportError, ValueError):
        raise SettingsError(f"FRAUD_DATABASE_URL is no database: expected {DATABASE_URL_FORM}") from None


@contextmanager
def opened(settings: Settings) -> Iterator[Engine]:
    """The database of ``settings``, whatever it holds. Raises SettingsError without one, DatabaseError for what it
    says."""
    if settings.database_url is None:
        raise not_set("FRAUD_DATABASE_URL")
    engine = connect(settings.database_url)
    try:
        yield engine
    except (exc.SQLAlchemyError, NotReadyError, ReplacedError) as error:
        raise DatabaseError(f"the database of FRAUD_DATABASE_URL: {line(error)}{_hint(error)}") from None
    finally:
        engine.dispose()


def _hint(error: BaseException) -> str:
    """What to do where Postgres does not let a user do something."""
    denied = getattr(getattr(error, "orig", None), "sqlstate", None) == "42501"
    return "; run it as the owner of the tables, who may also make new ones in their schema" if denied else ""


def _nobody() -> None:
    """Who is told when nobody asked."""


def prepare(engine: Engine, reopened: Callable[[], None] = _nobody) -> None:
    """Look whether the tables are those that this code writes. Raises NotReadyError, and what the database says.

    SQLite's file is looked at each time. Where it is another than before, that is said, and ``reopened`` called.
    """
    file = _files.get(engine)
    if engine in _prepared and (file is None or file.is_same()):
        return
    if file is None:
        revisions.ensure(engine)
    else:
        with file.opening, file.prepared():
            if file.remember(emptied=revisions.ensure(engine)):
                reopened()
    _prepared.add(engine)


def is_there(engine: Engine) -> bool:
    """Whether there is something to connect to: a SQLite file comes with the first look at it."""
    file = _files.get(engine)
    return file is None or file.path.exists()


def unwritable(engine: Engine) -> str | None:
    """What keeps whatever tables there are from being written: whose the file is, or a server that only reads."""
    if (file := _files.get(engine)) is not None:
        return file.problem()
    with engine.connect() as connection:
        only_reads = connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on"
    return "the server only reads: name the one that writes, or let it write" if only_reads else None


def make_folder(engine: Engine) -> None:
    """Of a SQLite file. Raises NotReadyError."""
    if (file := _files.get(engine)) is not None:
        file.make_way()


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
        if file is not None:
            file.check()  # it may have gone since it was prepared; nothing is written yet
        else:
            connection.exec_driver_sql(_LIMITS)
        yield connection


def insert(
    engine: Engine, rows: Sequence[LoggedPrediction], known: Mapping[int, Origin], schemas: Mapping[str, Schema]
) -> None:
    """Add predictions in one transaction, with their origins, by number, and the schemas that these name by hash.

    Raises what the database says; nothing is added then. What it says to the latter two is no row's fault.
    """
    with writing(engine) as connection:
        try:
            origins.keep(connection, {known[number] for number in {row.origin_id for row in rows}}, schemas)
        except REFUSED as error:
            raise NotReadyError(line(error)) from None
        for start in range(0, len(rows), ROWS_A_STATEMENT):
            _add(connection, rows[start : start + ROWS_A_STATEMENT])


def is_a_rows_fault(engine: Engine, error: Exception) -> bool:
    """Whether the database refused a row for what it holds, as it takes another, which cannot be at fault.

    A number that is there twice is given by the database itself: its sequence is behind, as after a restore.
    """
    is_number = getattr(getattr(error, "orig", None), "sqlstate", None) == "23505"
    return isinstance(error, REFUSED) and not is_number and takes_rows(engine)


def takes_rows(engine: Engine) -> bool:
    """Whether the table takes a row that cannot be at fault; it is not kept."""
    try:
        with engine.connect() as connection:
            _add(connection, [LoggedPrediction(0, 0.0, None, None, 0.0, False, None)])
            connection.rollback()
    except AWAY:
        return False
    return True


def _add(connection: Connection, rows: Sequence[LoggedPrediction]) -> None:
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    connection.exec_driver_sql(_insert(mark, len(rows)), tuple(chain.from_iterable(rows)))


@lru_cache(maxsize=16)
def _insert(mark: str, rows: int) -> str:
    """The driver's own form, many rows in one: for each statement SQLite gives the interpreter to other threads and
    waits to get it back, which beside a busy event loop costs more than the writing."""
    names = LoggedPrediction._fields
    marks = ", ".join([f"({', '.join([mark] * len(names))})"] * rows)
    return f"INSERT INTO {DECISIONS.name} ({', '.join(names)}) VALUES {marks}"  # noqa: S608 - our own names


def put_labels(
    engine: Engine, labels: Sequence[tuple[str, bool]], source: str, now: float, key_name: str | None = None
) -> int:
    """Keep labels ``(transaction_id, is_fraud)`` in one transaction; a later one replaces an earlier one. How many.

    ``key_name``: whose API key wrote them. One that says what was known keeps the time at which that was known.

    In the order of the ids: two writers of the same ids in different orders would deadlock in Postgres.
    """
    if not labels:
        return 0
    of_all = {"labelled_at": now, "source": source, "key_name": key_name}
    with writing(engine) as connection:
        statement = origins.dialect(connection).insert(LABELS)
        new = statement.excluded
        changed = {name: new[name] for name in ("is_fraud", "source", "key_name")}
        changed["labelled_at"] = case((LABELS.c.is_fraud == new.is_fraud, LABELS.c.labelled_at), else_=new.labelled_at)
        statement = statement.on_conflict_do_update(index_elements=["transaction_id"], set_=changed)
        connection.execute(
            statement,
            [
                {"transaction_id": name, "is_fraud": is_fraud, **of_all}
                for name, is_fraud in sorted(dict(labels).items())
            ],
        )
    return len(labels)


def line(error: BaseException) -> str:
    """What the driver says, in one line, without the statement and its values, which are customers'."""
    words = str(getattr(error, "orig", None) or error).strip()
    return words.splitlines()[0] if words else type(error).__name__
