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
        values = {"id": origin.number, **origin._asdict()}
        connection.execute(dialect(connection).insert(ORIGINS).values(values).on_conflict_do_nothing())
    for name in sorted({origin.schema_hash for origin in origins} & set(schemas)):
        schema = schemas[name]
        values = {"hash": name, "name": schema.name, "document": json.dumps(schema.document())}
        added = dialect(connection).insert(SCHEMAS).values({**values, "first_used_at": time.time()})
        new = {one: added.excluded[one] for one in ("name", "document")}  # how files spell things is not in the hash
        is_new = SCHEMAS.c.document != added.excluded.document
        connection.execute(added.on_conflict_do_update(index_elements=["hash"], set_=new, where=is_new))


def dialect(connection: Connection) -> Any:  # noqa: ANN401 - the two have no type in common
    """What makes statements of the database at hand."""
    return postgresql if connection.dialect.name == "postgresql" else sqlite
