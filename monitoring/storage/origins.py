"""What predictions have in common, each said once in the database, and the schemas that they name."""

import json
import time
from collections.abc import Collection, Mapping
from dataclasses import astuple, fields
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from fraud.schema import Schema
from monitoring.storage.tables import ORIGINS, SCHEMAS, Origin

_NAMES = [field.name for field in fields(Origin)]
_FIELDS = [ORIGINS.c[name] for name in _NAMES]


def numbers(connection: Connection, origins: Collection[Origin]) -> dict[Origin, int]:
    """The number of each; one that is not there is added. Two that say the same, added at once, do no harm."""
    there = {tuple(row[1:]): int(row.id) for row in connection.execute(select(ORIGINS.c.id, *_FIELDS))}
    found = {}
    for origin in origins:
        said = astuple(origin)
        if said not in there:
            values = dict(zip(_NAMES, said, strict=True))
            there[said] = connection.execute(ORIGINS.insert().values(values).returning(ORIGINS.c.id)).scalar_one()
        found[origin] = there[said]
    return found


def keep_schemas(connection: Connection, schemas: Mapping[str, Schema]) -> None:
    """Keep each by its hash, as rows name it, where it is not there yet."""
    for name, schema in sorted(schemas.items()):
        document = json.dumps(schema.document())
        values = {"hash": name, "name": schema.name, "document": document, "first_used_at": time.time()}
        connection.execute(dialect(connection).insert(SCHEMAS).values(values).on_conflict_do_nothing())


def dialect(connection: Connection) -> Any:  # noqa: ANN401 - the two have no type in common
    """What makes statements of the database at hand."""
    return postgresql if connection.dialect.name == "postgresql" else sqlite
