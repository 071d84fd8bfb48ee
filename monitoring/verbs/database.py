"""Verbs on the database: database upgrade, database status."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from fraud import command
from fraud.command import CommandResult, Verbs
from fraud.settings import Settings
from monitoring.verbs import PROGRAM

if TYPE_CHECKING:
    from sqlalchemy import Engine


def add_to(verbs: Verbs) -> None:
    """Register the verbs."""
    group = verbs.add_parser("database", help="Make the tables of FRAUD_DATABASE_URL, or bring them up to date.")
    actions = group.add_subparsers(required=True, metavar="upgrade|status")
    command.subcommand(
        actions,
        "upgrade",
        _upgrade,
        "Make the tables, or bring those of an older version up to date, and move what they hold. The service changes "
        "no tables itself; it waits for this. Run it as their owner; doing it again does no harm.",
        f"{PROGRAM} database upgrade",
        f"FRAUD_DATABASE_URL=postgresql://owner@host/name {PROGRAM} database upgrade",
    )
    command.subcommand(
        actions,
        "status",
        _status,
        "Whether the service could write: the tables' version, rights that are missing, rows that are to be moved, and "
        "which secrets the keys are hashed with. Exit code 0: it could, 1: not.",
        f"{PROGRAM} database status",
    )


def _upgrade(_: argparse.Namespace) -> dict[str, Any]:
    from monitoring import database
    from monitoring.storage import moving, revisions

    with database.opened(Settings.from_env()) as engine:
        database.make_folder(engine)
        before = revisions.upgrade(engine)
        moved = moving.move(engine)
    return {"revision": revisions.HEAD, "before": before.revision, "moved_predictions": moved}


def _status(_: argparse.Namespace) -> CommandResult:
    from monitoring import database
    from monitoring.storage import revisions

    with database.opened(Settings.from_env()) as engine:
        if not database.is_there(engine):  # SQLite would make the file
            problem = database.unwritable(engine)
            document: dict[str, Any] = {
                "revision": None,
                "newest": revisions.HEAD,
                "problem": problem,
                "predictions_to_move": 0,
            }
        else:
            document = _look(engine)
            problem = document["problem"]
    if problem:
        sys.stderr.write(f"{problem}\n")
    return CommandResult(document, 1 if problem else 0)


def _look(engine: "Engine") -> dict[str, Any]:
    from monitoring import database
    from monitoring.storage import moving, origins, revisions

    problem = database.unwritable(engine) or revisions.problem(engine)
    with engine.connect() as connection:
        found = revisions.state(connection)
        known = [] if problem or found.is_empty else origins.key_fingerprints(connection)
    return {
        "revision": found.revision,
        "newest": revisions.HEAD,
        "problem": problem,
        "predictions_to_move": moving.waiting(engine),
        "key_fingerprints": known,
    }
