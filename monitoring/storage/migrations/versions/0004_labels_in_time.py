"""An index of labels in the order in which they came: the service applies new ones to histories of keys.

Nothing is made twice: where it is not known which migration was the last, this one runs over what is there.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_NAME = "ix_labels_labelled_at"


def upgrade() -> None:
    """One index."""
    there = sa.inspect(op.get_bind())
    if "labels" in there.get_table_names() and _NAME not in {one["name"] for one in there.get_indexes("labels")}:
        op.create_index(_NAME, "labels", ["labelled_at", "transaction_id"])
