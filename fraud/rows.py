"""Transactions on their way from a request to the log: as numbers, as bytes, and with what the model says of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraud.schema import default

ID_COLUMN = "transaction_id"
"""What a transaction's id is called in requests, answers, the log, labels and files of scores."""

Packed = bytes
"""Transactions behind one another, each as little-endian float64 in the order of the default schema's inputs."""

_INPUTS = len(default().inputs)
_ROW = Struct(f"<{_INPUTS}d")
ROW_BYTES = _ROW.size
pack_row = _ROW.pack
"""The values of one transaction, in the order of the schema, as ``Packed``."""


@dataclass(frozen=True)
class Rows:
    """Valid transactions: ``values`` float64 ``(n, inputs)`` in schema order, ``ids`` one string a row, or empty."""

    values: NDArray[np.float64]
    ids: tuple[str, ...]


class ScoredRow(NamedTuple):
    """What the model says of one row."""

    fraud_probability: float
    is_fraud: bool
    model_version: str


def unpack(rows: Iterable[Packed]) -> NDArray[np.float64]:
    """Packed transactions as float64 ``(n, inputs)``."""
    return np.frombuffer(b"".join(rows), "<f8").reshape(-1, _INPUTS)


def pack(values: NDArray[np.float64]) -> Packed:
    """Transactions, float64 ``(n, inputs)``, as ``Packed``."""
    return values.astype("<f8", copy=False).tobytes()
