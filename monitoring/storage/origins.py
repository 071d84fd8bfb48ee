"""What predictions have in common, each said once in the database, and the schemas that they name."""

import json
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from fraud.schema import Schema
from monitoring.storage.tables import ORIGINS, SCHEMAS, Origin


def keep(connection: Connection, origins: Iterable[Origin], schemas: Mapping[str, Schema]) -> None:
    """Add what is not there yet: origins, and those of ``schemas``, by hash, that they name.

    Nothing is remembered of what was there the last time: somebody may have brought an older state back. It is looked
    at first, for what is there already would be locked until the transaction ends, and hold up all other writers.
    """
    wanted = {origin.number: origin for origin in origins}
    there = set(connection.scalars(select(ORIGINS.c.id).where(ORIGINS.c.id.in_(wanted))))
    for number in sorted(set(wanted) - there):  # two writers in different orders would deadlock
        values = {"id": number, **wanted[number]._asdict()}
        connection.execute(dialect(connection).insert(ORIGINS).values(values).on_conflict_do_nothing())
    _keep_schemas(connection, {origin.schema_hash for origin in wanted.values()} & set(schemas), schemas)


def _keep_schemas(connection: Connection, names: Collection[str], schemas: Mapping[str, Schema]) -> None:
    """Of one hash the newest document: how files spell things is not in it."""
    kept = select(SCHEMAS.c.hash, SCHEMAS.c.document).where(SCHEMAS.c.hash.in_(names))
    there = {row.hash: row.document for row in connection.execute(kept)}
    for name in sorted(names):
        schema, document = schemas[name], json.dumps(schemas[name].document())
        if there.get(name) != document:
            values = {"hash": name, "name": schema.name, "document": document}
            added = dialect(connection).insert(SCHEMAS).values({**values, "first_used_at": time.time()})
            new = {one: added.excluded[one] for one in ("name", "document")}
            connection.execute(added.on_conflict_do_update(index_elements=["hash"], set_=new))


def key_fingerprints(connection: Connection) -> list[str]:
    """Of the secrets that the keys in the log were ever hashed with."""
    known = select(ORIGINS.c.key_fingerprint).where(ORIGINS.c.key_fingerprint.is_not(None)).distinct()
    return sorted(connection.scalars(known))


def dialect(connection: Connection) -> Any:  # noqa: ANN401 - the two have no type in common
    """What makes statements of the database at hand."""
    return postgresql if connection.dialect.name == "postgresql" else sqlite
