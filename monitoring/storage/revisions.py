"""Whether the tables of a database are those that this code writes, and how they become so.

``python -m monitoring database upgrade`` alone changes tables, with alembic; the service makes them only in a SQLite
file that holds none yet, or has lost some, which is its own. Anything else it waits for: rows stay in the queue, and
the log says what to do. Migrations only add, so that older code goes on where newer tables are.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, inspect, text

from monitoring.storage.tables import DECISIONS, LABELS, METADATA, NEEDED, ORIGINS, SCHEMAS

HEAD = "0004"
"""The newest of the migrations, said here too: the service looks without alembic, which is slow to import."""
VERSION_TABLE = "fraud_version"
"""Alembic's own name for it may be in use by somebody else's program."""
UPGRADE = "run `python -m monitoring database upgrade`"

_BEFORE_MIGRATIONS = frozenset({"predictions", "labels"})
_FIRST_WITH_DECISIONS = "0002"
_PATIENCE = "SET LOCAL lock_timeout = '60s'; SET LOCAL idle_in_transaction_session_timeout = '60s'"
"""Who waits for one that stands still says so in the end, and one that stands still lets go."""
_LOCKS = {"sqlite": "BEGIN IMMEDIATE", "postgresql": f"{_PATIENCE}; SELECT pg_advisory_xact_lock(7223090410)"}
"""What keeps two from changing tables at once: checking first is not enough."""


class NotReadyError(OSError):
    """The tables are not those that this code writes, or may not be written: later they may be."""


@dataclass(frozen=True)
class State:
    """What a database holds of ours."""

    revision: str | None
    """None where no migration ever ran."""
    tables: frozenset[str]
    """All there are, ours or not."""

    @property
    def is_empty(self) -> bool:
        """Whether there is no table of ours, old or new."""
        ours = {*METADATA.tables, VERSION_TABLE, *_BEFORE_MIGRATIONS}
        return not ours & self.tables

    @property
    def is_cut(self) -> bool:
        """Whether tables are gone that were made."""
        return self.revision == HEAD and not set(METADATA.tables) <= self.tables

    @property
    def problem(self) -> str | None:
        """What keeps this code from writing, and what to do."""
        if self.is_empty:
            return f"the database has no tables yet: {UPGRADE}"
        if self.revision is None or self.revision < HEAD:
            return f"the tables of the database are of an older version ({self.revision or 'none'}): {UPGRADE}"
        missing = sorted(set(METADATA.tables) - self.tables)
        newer = " of the newer version" if self.revision > HEAD else ""
        return f"the database has no table {missing[0]} any more: restore it, or {UPGRADE}{newer}" if missing else None


def state(connection: Connection) -> State:
    """That of the database."""
    tables = frozenset(inspect(connection).get_table_names())
    revision = None
    if VERSION_TABLE in tables and may(connection, VERSION_TABLE, "SELECT"):
        revision = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 - our own name
    return State(revision, tables)


def ensure(engine: Engine) -> bool:
    """Raise NotReadyError unless predictions can be written; whether tables had to be made, in a SQLite file.

    Raises what the database says, too.
    """
    found, why = _look(engine)
    if why is None:
        return False
    if not _makes_itself(engine, found):
        raise NotReadyError(why)
    upgrade(engine)
    return True


def problem(engine: Engine) -> str | None:
    """What keeps the service from writing, and what to do; nothing where it would make the tables itself."""
    found, why = _look(engine)
    return None if _makes_itself(engine, found) else why


def _makes_itself(engine: Engine, found: State) -> bool:
    """A SQLite file is the service's own: it fills one that holds no tables yet, and makes those that were dropped."""
    return engine.dialect.name == "sqlite" and (found.is_empty or found.is_cut)


def _look(engine: Engine) -> tuple[State, str | None]:
    with engine.connect() as connection:
        found = state(connection)
        rights = _lacking_rights(connection, found) if VERSION_TABLE in found.tables else None
        return found, rights or _strange_labels(connection, found) or found.problem or _foreign(connection)


def upgrade(engine: Engine) -> State:
    """Bring the tables to HEAD, and make those that are missing; in one transaction. What was there before."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        lock(connection)
        before = state(connection)
        if before.revision is not None and before.revision > HEAD:  # newer code was here; migrations only add
            return before
        migration = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        if strange := _strange_labels(connection, before):
            raise NotReadyError(strange)
        ours = [table for table in (DECISIONS, ORIGINS, SCHEMAS) if table.name in before.tables]
        are_there = bool(ours) and _foreign(connection, ours) is None  # and not noted; what is lost is made below
        lowest = before.revision or (_FIRST_WITH_DECISIONS if are_there else "base")
        steps = [*scripts.iterate_revisions("head", lowest)]
        with Operations.context(migration):
            for script in reversed(steps):
                script.module.upgrade()
        if before.revision != HEAD:
            migration.stamp(scripts, "head")
        METADATA.create_all(connection)
    return before


def lock(connection: Connection) -> None:
    """Begin a transaction of one who changes more than rows of his own."""
    connection.exec_driver_sql(_LOCKS[connection.dialect.name])


def _lacking_rights(connection: Connection, found: State) -> str | None:
    """The statements that give a user of Postgres what is missing."""
    wanted = {VERSION_TABLE: ("SELECT",), **{table.name: rights for table, rights in NEEDED.items()}}
    grants = []
    for name in found.tables & set(wanted):
        lacking = [right for right in wanted[name] if not may(connection, name, right)]
        if lacking:
            grants.append(f'GRANT {", ".join(lacking)} ON {name} TO "{_user(connection)}";')
    if not grants:
        return None
    return f"its user may not read and write the tables; let their owner run: {' '.join(sorted(grants))}"


def may(connection: Connection, table: str, right: str) -> bool:
    """Whether this user has a right on a table; in a SQLite file everybody has."""
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.scalar(text("SELECT has_table_privilege(:name, :right)"), {"name": table, "right": right}))


def _user(connection: Connection) -> Any:  # noqa: ANN401
    return connection.scalar(text("SELECT current_user"))


def _strange_labels(connection: Connection, found: State) -> str | None:
    """The one name that another program may well have taken before us. Columns that came later may be missing."""
    return _foreign(connection, [LABELS], later=False) if LABELS.name in found.tables else None


def _foreign(
    connection: Connection, tables: Iterable[Table] = METADATA.sorted_tables, *, later: bool = True
) -> str | None:
    """Where a table of one of our names is somebody else's. ``later``: look also for columns that may be NULL, as all
    are that a migration adds.
    """
    there = inspect(connection)
    for table in tables:
        columns = {one["name"]: one for one in there.get_columns(table.name)}
        missing = sorted({column.name for column in table.columns if later or not column.nullable} - set(columns))
        if missing:
            return (
                f"the table {table.name} has no column {missing[0]}: it is another program's, or was changed; give "
                "FRAUD_DATABASE_URL a database of its own"
            )
    return None
