"""The tables of the database, as this code reads and writes them; ``migrations`` makes them. Times are seconds since
1970, UTC."""

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

DECISIONS = Table(
    "fraud_decisions",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("scored_at", Float(53), nullable=False, index=True),
    Column("transaction_id", String(64)),
    Column("request_id", String(128)),
    Column("key_name", String(64)),  # whose API key called
    Column("model_version", String(64), nullable=False),
    Column("schema_hash", String(12), nullable=False),
    Column("fraud_probability", Float(53), nullable=False),
    Column("threshold", Float(53)),
    Column("is_fraud", Boolean, nullable=False),
    Column("amount", Float(53)),
    Column("sent_numbers", LargeBinary),  # see monitoring.storage.sent
    Column("sent_texts", Text),
    Column("features", LargeBinary),  # as scored: little-endian float32
    Column("policy", String(64)),  # room for what comes: nothing writes these yet
    Column("outcome", String(64)),
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
)

DECISIONS_WITH_LABELS = DECISIONS.outerjoin(LABELS, LABELS.c.transaction_id == DECISIONS.c.transaction_id)
"""Predictions, each with its label where there is one."""

NEEDED = {DECISIONS: ("SELECT", "INSERT"), SCHEMAS: ("SELECT", "INSERT"), LABELS: ("SELECT", "INSERT", "UPDATE")}
"""What the service does with each table."""


class LoggedPrediction(NamedTuple):
    """One prediction, as ``fraud_decisions`` has it. ``sent_numbers`` and ``sent_texts``: see ``storage.sent``."""

    scored_at: float
    transaction_id: str | None
    request_id: str | None
    key_name: str | None
    model_version: str
    schema_hash: str
    fraud_probability: float
    threshold: float | None
    is_fraud: bool
    amount: float | None
    sent_numbers: bytes | None = None
    sent_texts: str | None = None
    features: bytes | None = None
