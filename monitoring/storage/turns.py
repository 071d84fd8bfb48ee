"""Who of all that share a database does what need be done once for all, and what was found by it."""

from dataclasses import dataclass

from sqlalchemy import Engine, select, update

from monitoring.storage import origins
from monitoring.storage.tables import STATE

MOST_AHEAD_SECONDS = 10_800.0
"""A turn later than that was written by a clock that was wrong."""
_NEVER = 0.0
"""When what nobody has done yet is due."""


@dataclass(frozen=True)
class Turn:
    """``is_mine``: whether this caller is to do it. ``found``: what was found the last time, None before the first."""

    is_mine: bool
    found: str | None


def take(engine: Engine, name: str, now: float, lease_seconds: float) -> Turn:
    """Whose turn it is to do ``name``. Who takes it and dies leaves it to another after ``lease_seconds``.

    Raises what the database says.
    """
    with engine.begin() as connection:
        row = connection.execute(select(STATE.c.due_at, STATE.c.document).where(STATE.c.name == name)).first()
        if row is None:
            added = origins.dialect(connection).insert(STATE).values(name=name, due_at=_NEVER)
            connection.execute(added.on_conflict_do_nothing())
        due_at, found = row or (_NEVER, None)
        if now < due_at < now + MOST_AHEAD_SECONDS:
            return Turn(False, found)
        ours = (STATE.c.name == name) & (STATE.c.due_at == due_at)
        taken = connection.execute(update(STATE).where(ours).values(due_at=now + lease_seconds))
        return Turn(taken.rowcount == 1, found)


def done(engine: Engine, name: str, due_at: float, found: str | None = None) -> None:
    """Let it be done again from ``due_at`` on. ``found``: what all are told until then; as before where there is none.

    Raises what the database says.
    """
    values = {"due_at": due_at, **({} if found is None else {"document": found})}
    with engine.begin() as connection:
        connection.execute(update(STATE).where(STATE.c.name == name).values(values))
