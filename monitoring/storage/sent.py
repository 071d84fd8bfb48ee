"""What was sent, as the log keeps it in ``sent``: a row's numbers, its features as they were scored, and its texts.

The numbers are the row array's, float64, little-endian, in the order of ``schema.inputs``; where a category stands they
hold the model's own place of its level, which nobody needs. The features are float32, little-endian, in the order of
``schema.features``. The texts are a JSON list of what was sent for the columns of ``schema.of_kind("category",
"key")``, null where there was nothing, keys hashed; none where a schema has no such column. All stand in one value,
since a row costs by the column. The schema is found by ``schema_hash`` in ``fraud_schemas``: a row can be read when its
model is long gone.

The first rows of ``fraud_decisions`` have their features in a column of their own, and those of the table before none.
"""

from struct import Struct

import numpy as np
from msgspec import json
from numpy.typing import NDArray

from fraud.rows import Packed, Texts
from fraud.schema import Schema

HASH_LENGTH = 12
"""Of a schema's hash, where rows name it: 48 bits."""

_encode = json.Encoder().encode


class RowKind:
    """What all rows of a schema have in common."""

    def __init__(self, schema: Schema) -> None:
        self.hash = schema.hash[:HASH_LENGTH]
        self.row_bytes = 8 * len(schema.inputs)
        self._features_bytes = 4 * len(schema.features)
        self._place = schema.position(schema.roles.amount)
        self._unpack = Struct(f"<{8 * (self._place or 0)}xd").unpack_from

    def amount_of(self, row: Packed) -> float | None:
        """That of a packed row; None where there is none."""
        if self._place is None:
            return None
        amount: float = self._unpack(row)[0]
        return amount if amount == amount else None  # NaN is not itself

    def amounts_of(self, rows: NDArray[np.float64]) -> list[float | None]:
        """Those of rows ``(n, inputs)``."""
        if self._place is None:
            return [None] * len(rows)
        found = rows[:, self._place]
        return [one if one == one else None for one in found.tolist()] if np.isnan(found).any() else found.tolist()

    def read(self, sent: bytes, features: bytes | None = None) -> tuple[Packed, bytes, Texts]:
        """The three parts; ``features`` where they stand apart."""
        texts = sent[self.row_bytes :]
        if features is None:
            features, texts = texts[: self._features_bytes], texts[self._features_bytes :]
        return sent[: self.row_bytes], features, tuple(json.decode(texts)) if texts else ()


def packed(row: Packed, features: bytes | None, texts: Texts) -> bytes:
    """As the log keeps it."""
    numbers = row + features if features else row
    return numbers + _encode(texts) if texts else numbers
