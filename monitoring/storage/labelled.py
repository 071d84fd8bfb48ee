"""Labels in the order in which they came, and the transactions that they are of, as the log has them."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import Connection, Engine, select, tuple_

from fraud.errors import FraudError
from fraud.rows import Packed, Texts
from fraud.schema import Schema, of_document
from monitoring import database
from monitoring.storage.sent import RowKind
from monitoring.storage.tables import DECISIONS, LABELS, ORIGINS, SCHEMAS

After = tuple[float, str]
"""When a label was given, and its transaction: labels come after one another in this order."""


class Label(NamedTuple):
    """One of a transaction, given at ``labelled_at``, seconds since 1970."""

    labelled_at: float
    transaction_id: str
    is_fraud: bool


class Sent(NamedTuple):
    """What was sent of a transaction when it was logged first: its numbers and texts, in the order of its schema."""

    schema_hash: str
    row: Packed
    texts: Texts


class Labelled:
    """For one thread. ``reopened`` is told where a SQLite file is another than before.

    Every method raises DatabaseError where the database cannot be read: later it may be.
    """

    def __init__(self, engine: Engine, reopened: Callable[[], None]) -> None:
        self._engine, self._reopened = engine, reopened
        self._kinds: dict[str, RowKind | None] = {}
        self._schemas: dict[str, Schema] = {}

    def after(self, after: After, most: int) -> list[Label]:
        """The next labels, at most so many."""
        order = (LABELS.c.labelled_at, LABELS.c.transaction_id)
        asked = select(*order, LABELS.c.is_fraud).where(tuple_(*order) > tuple_(*after)).order_by(*order).limit(most)
        with self._connected() as connection:
            return [Label(*row) for row in connection.execute(asked)]

    def sent(self, names: Sequence[str], key_fingerprint: str) -> dict[str, Sent]:
        """What was sent of these transactions, as far as the log holds it with keys hashed by this secret.

        Of one that was logged more than once the first: what is sent again adds nothing to histories.
        """
        asked = (
            select(DECISIONS.c.transaction_id, ORIGINS.c.schema_hash, DECISIONS.c.sent, DECISIONS.c.features)
            .join(ORIGINS, ORIGINS.c.id == DECISIONS.c.origin_id)
            .where(
                DECISIONS.c.transaction_id.in_(names),
                DECISIONS.c.sent.is_not(None),
                ORIGINS.c.key_fingerprint == key_fingerprint,
            )
            .order_by(DECISIONS.c.scored_at, DECISIONS.c.id)
        )
        found = dict[str, Sent]()
        with self._connected() as connection:
            rows = connection.execute(asked).all()
        for name, schema_hash, sent, features in rows:
            if name not in found and (kind := self._kind(schema_hash)) is not None:
                row, _, texts = kind.read(sent, features)
                found[name] = Sent(schema_hash, row, texts)
        return found

    def schema(self, schema_hash: str) -> Schema:
        """That of what ``sent`` gave."""
        return self._schemas[schema_hash]

    def _kind(self, schema_hash: str) -> RowKind | None:
        """How rows of a schema are read; None where nobody knows it any more."""
        if schema_hash not in self._kinds:
            with self._connected() as connection:
                document = connection.scalar(select(SCHEMAS.c.document).where(SCHEMAS.c.hash == schema_hash))
            if document is None:
                return None
            try:
                schema = of_document(json.loads(document), schema_hash)
            except (FraudError, ValueError):  # of newer code
                self._kinds[schema_hash] = None
                return None
            self._schemas[schema_hash], self._kinds[schema_hash] = schema, RowKind(schema)
        return self._kinds[schema_hash]

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            database.prepare(self._engine, self._reopened)
            with self._engine.connect() as connection:
                yield connection
        except database.AWAY as error:
            raise database.DatabaseError(database.line(error)) from None
