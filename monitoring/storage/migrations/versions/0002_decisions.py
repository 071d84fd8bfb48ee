"""``fraud_decisions`` in place of ``predictions``, with ``fraud_origins`` and ``fraud_schemas``.

The rows are moved apart (``storage.moving``).
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """New tables; none that was there is changed."""
    op.create_table(
        "fraud_origins",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("schema_hash", sa.String(12), nullable=False),
        sa.Column("threshold", sa.Float(53)),
        sa.Column("key_name", sa.String(64)),
        sa.Column("key_fingerprint", sa.String(16)),
        sa.Column("policy", sa.String(64)),
    )
    op.create_table(
        "fraud_decisions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), primary_key=True),
        sa.Column("origin_id", sa.BigInteger, nullable=False),
        sa.Column("scored_at", sa.Float(53), nullable=False),
        sa.Column("transaction_id", sa.String(64)),
        sa.Column("request_id", sa.String(128)),
        sa.Column("fraud_probability", sa.Float(53), nullable=False),
        sa.Column("is_fraud", sa.Boolean, nullable=False),
        sa.Column("amount", sa.Float(53)),
        sa.Column("sent", sa.LargeBinary),
        sa.Column("features", sa.LargeBinary),
        sa.Column("outcome", sa.String(64)),
        sa.Column("history", sa.LargeBinary),
        sa.Column("exported_at", sa.Float(53)),
    )
    op.create_index("ix_fraud_decisions_scored_at", "fraud_decisions", ["scored_at"])
    with_id = sa.text("transaction_id IS NOT NULL")
    op.create_index(
        "ix_fraud_decisions_transaction_id",
        "fraud_decisions",
        ["transaction_id"],
        sqlite_where=with_id,
        postgresql_where=with_id,
    )
    op.create_table(
        "fraud_schemas",
        sa.Column("hash", sa.String(12), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("first_used_at", sa.Float(53), nullable=False),
    )
