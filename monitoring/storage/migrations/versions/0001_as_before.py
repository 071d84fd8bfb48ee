"""The tables as they were before there were migrations: ``labels``, and where it is there, ``predictions``."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """A database that has them is left as it is, but for a column that the oldest lack."""
    there = sa.inspect(op.get_bind())
    tables = there.get_table_names()
    if "predictions" in tables:
        columns = {column["name"] for column in there.get_columns("predictions")}
        if "schema_hash" in columns and "request_id" not in columns:  # another's table of that name is left alone
            op.add_column("predictions", sa.Column("request_id", sa.String(128)))
    if "labels" not in tables:
        op.create_table(
            "labels",
            sa.Column("transaction_id", sa.String(64), primary_key=True),
            sa.Column("is_fraud", sa.Boolean, nullable=False),
            sa.Column("labelled_at", sa.Float(53), nullable=False),
            sa.Column("source", sa.String(16), nullable=False),
        )
