"""``fraud_live_sums`` and ``fraud_live_state`` for live quality, and whose key wrote a label.

Nothing is made twice: where it is not known which migration was the last, this one runs over what is there.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_NEW = {"fraud_live_sums": "SELECT, INSERT, DELETE", "fraud_live_state": "SELECT, INSERT, UPDATE"}


def upgrade() -> None:
    """A column that may be NULL, and two tables for whoever writes predictions."""
    there = sa.inspect(op.get_bind())
    tables = there.get_table_names()
    if "labels" in tables and "key_name" not in {column["name"] for column in there.get_columns("labels")}:
        op.add_column("labels", sa.Column("key_name", sa.String(64)))
    if "fraud_live_sums" not in tables:
        op.create_table(
            "fraud_live_sums",
            sa.Column("bucket", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("model_version", sa.String(64), primary_key=True),
            sa.Column("is_fraud", sa.Boolean, primary_key=True),
            sa.Column("transactions", sa.BigInteger, nullable=False),
        )
    if "fraud_live_state" not in tables:
        op.create_table(
            "fraud_live_state",
            sa.Column("name", sa.String(64), primary_key=True),
            sa.Column("due_at", sa.Float(53), nullable=False),
            sa.Column("document", sa.Text),
        )
    if op.get_bind().dialect.name == "postgresql":
        _let_writers_in()


def _let_writers_in() -> None:
    """Who was granted to write predictions need not be granted this one by one: until then its rows would wait."""
    writers = op.get_bind().scalars(
        sa.text(
            "SELECT DISTINCT grantee FROM information_schema.table_privileges WHERE table_schema = current_schema() "
            "AND table_name = 'fraud_decisions' AND privilege_type = 'INSERT' AND grantee <> current_user"
        )
    )
    for writer in writers.all():
        name = writer if writer == "PUBLIC" else op.get_bind().dialect.identifier_preparer.quote_identifier(writer)
        for table, rights in _NEW.items():
            op.execute(f"GRANT {rights} ON {table} TO {name}")
