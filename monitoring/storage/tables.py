"""The tables of the database, as this code reads and writes them; ``migrations`` makes them. Times are seconds since
1970, UTC."""

import hashlib
import json
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

METADATA = MetaData()

ORIGINS = Table(
    "fraud_origins",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # a hash of what follows
    Column("model_version", String(64), nullable=False),
    Column("schema_hash", String(12), nullable=False),
    Column("threshold", Float(53)),  # NULL in what was moved from the table of before
    Column("key_name", String(64)),  # whose API key called
    Column("key_fingerprint", String(16)),  # of the secret that keys were hashed with
    Column("policy", String(64)),  # room for what comes: nothing writes it yet
)
"""What many predictions have in common: said once, for a row of theirs costs by the column."""

DECISIONS = Table(
    "fraud_decisions",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("origin_id", BigInteger, nullable=False),
    Column("scored_at", Float(53), nullable=False, index=True),
    Column("transaction_id", String(64)),
    Column("request_id", String(128)),
    Column("fraud_probability", Float(53), nullable=False),
    Column("is_fraud", Boolean, nullable=False),
    Column("amount", Float(53)),
    Column("sent", LargeBinary),  # see monitoring.storage.sent
    Column("features", LargeBinary),  # of rows that do not have them in ``sent``; nothing writes it any more
    Column("outcome", String(64)),  # room for what comes, as below
    Column("history", LargeBinary),
    Column("exported_at", Float(53)),  # when it became part of a training increment
)
_WITH_ID = DECISIONS.c.transaction_id.is_not(None)
Index(
    "ix_fraud_decisions_transaction_id",
    DECISIONS.c.transaction_id,
    sqlite_where=_WITH_ID,
    postgresql_where=_WITH_ID,
)

SCHEMAS = Table(
    "fraud_schemas",
    METADATA,
    Column("hash", String(12), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("document", Text, nullable=False),  # JSON of what was declared
    Column("first_used_at", Float(53), nullable=False),
)

LABELS = Table(
    "labels",
    METADATA,
    Column("transaction_id", String(64), primary_key=True),
    Column("is_fraud", Boolean, nullable=False),
    Column("labelled_at", Float(53), nullable=False),
    Column("source", String(16), nullable=False),
    Column("key_name", String(64)),  # whose API key wrote it; NULL of a file
)
Index("ix_labels_labelled_at", LABELS.c.labelled_at, LABELS.c.transaction_id)

SUMS = Table(
    "fraud_live_sums",
    METADATA,
    Column("bucket", BigInteger, primary_key=True, autoincrement=False),  # see monitoring.storage.sums
    Column("model_version", String(64), primary_key=True),
    Column("is_fraud", Boolean, primary_key=True),
    Column("transactions", BigInteger, nullable=False),
)
"""How many transactions were scored in a short time that is over. What it holds can be made again."""

STATE = Table(
    "fraud_live_state",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("due_at", Float(53), nullable=False),  # when it is to be done again
    Column("document", Text),  # JSON of what was found
)
"""What one of all who share the database does for all."""

DECISIONS_WITH_LABELS = DECISIONS.join(ORIGINS, ORIGINS.c.id == DECISIONS.c.origin_id).outerjoin(
    LABELS, LABELS.c.transaction_id == DECISIONS.c.transaction_id
)
"""Predictions, each with its origin, and its label where there is one."""

_ADDED = ("SELECT", "INSERT")
_CHANGED = (*_ADDED, "UPDATE")
NEEDED = {
    DECISIONS: _ADDED,
    ORIGINS: _ADDED,
    SCHEMAS: _CHANGED,
    LABELS: _CHANGED,
    SUMS: (*_ADDED, "DELETE"),
    STATE: _CHANGED,
}
"""What the service does with each table."""


class Origin(NamedTuple):
    """Which model said something, of which schema, with which threshold, to whose key, and what hashed its keys."""

    model_version: str
    schema_hash: str
    threshold: float | None = None
    key_name: str | None = None
    key_fingerprint: str | None = None

    @property
    def number(self) -> int:
        """The same in every database, so that none has to be asked: 63 bits of a hash."""
        digest = hashlib.blake2b(json.dumps(self).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") >> 1


class LoggedPrediction(NamedTuple):
    """One prediction, as ``fraud_decisions`` has it. ``sent``: see ``storage.sent``."""

    origin_id: int
    scored_at: float
    transaction_id: str | None
    request_id: str | None
    fraud_probability: float
    is_fraud: bool
    amount: float | None
    sent: bytes | None = None
