"""What was sent, as the log keeps it: the numbers of a row as it was scored, and beside it the texts.

``sent_numbers`` are the row array's values, float64, little-endian, in the order of ``schema.inputs``; where a category
stands they hold the model's own place of its level, which nobody needs. ``sent_texts`` is a JSON list of what was sent
for the columns of ``schema.of_kind("category", "key")``, null where there was nothing, keys hashed. The schema is found
by ``schema_hash`` in ``fraud_schemas``, so that a row can be read again when its model is long gone.
"""

import math
from collections.abc import Callable
from struct import Struct

from msgspec import json

from fraud.rows import Packed, Texts
from fraud.schema import Schema

HASH_LENGTH = 12
"""Of a schema's hash, where rows name it: 48 bits."""

_encode = json.Encoder().encode


class RowKind:
    """What all rows of a schema have in common."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.hash = schema.hash[:HASH_LENGTH]
        self.row_bytes = 8 * len(schema.inputs)
        self.amount_of = _amount_of(schema)
        """The amount of a packed row, at an offset; None where there is none."""


def packed_texts(texts: Texts) -> str:
    """As the log keeps them."""
    return _encode(texts).decode()


def _amount_of(schema: Schema) -> Callable[..., float | None]:
    place = schema.position(schema.roles.amount)
    if place is None:
        return lambda *_: None
    unpack = Struct(f"<{8 * place}xd").unpack_from

    def amount(row: Packed, offset: int = 0) -> float | None:
        found: float = unpack(row, offset)[0]
        return None if math.isnan(found) else found

    return amount
