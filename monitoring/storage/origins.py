"""What predictions have in common, each said once in the database, and the schemas that they name."""

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from fraud.schema import Schema
from monitoring.storage.tables import ORIGINS, SCHEMAS, Origin


def keep(connection: Connection, origins: Iterable[Origin], schemas: Mapping[str, Schema]) -> None:
    """Add what is not there yet: origins, and those of ``schemas``, by hash, that they name.

    Nothing is remembered of what was there the last time: somebody may have brought an older state back.
    """
    for origin in sorted(origins, key=lambda one: one.number):  # two writers in different orders would deadlock
        _add(connection, ORIGINS, {"id": origin.number, **origin._asdict()})
    for name in sorted({origin.schema_hash for origin in origins} & set(schemas)):
        schema = schemas[name]
        values = {"hash": name, "name": schema.name, "document": json.dumps(schema.document())}
        _add(connection, SCHEMAS, {**values, "first_used_at": time.time()})


def _add(connection: Connection, table: Any, values: Mapping[str, Any]) -> None:  # noqa: ANN401
    connection.execute(dialect(connection).insert(table).values(values).on_conflict_do_nothing())


def dialect(connection: Connection) -> Any:  # noqa: ANN401 - the two have no type in common
    """What makes statements of the database at hand."""
    return postgresql if connection.dialect.name == "postgresql" else sqlite
