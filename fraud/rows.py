"""Transactions on their way from a request to the log: as numbers, as bytes, and with what the model says of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ID_COLUMN = "transaction_id"
"""What a transaction's id is called in requests, answers, the log, labels and files of scores."""

Packed = bytes
"""Transactions behind one another, each as little-endian float64 in the order of its schema's inputs."""


def packer(inputs: int) -> Callable[..., Packed]:
    """What makes ``Packed`` of the values of one transaction, so many."""
    return Struct(f"<{inputs}d").pack


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


def unpack(rows: Sequence[Packed]) -> NDArray[np.float64]:
    """Packed transactions, one at least, as float64 ``(n, inputs)``."""
    return np.frombuffer(b"".join(rows), "<f8").reshape(len(rows), -1)


def pack(values: NDArray[np.float64]) -> Packed:
    """Transactions, float64 ``(n, inputs)``, as ``Packed``."""
    return values.astype("<f8", copy=False).tobytes()
