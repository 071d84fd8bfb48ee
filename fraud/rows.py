"""Transactions on their way from a request to the log: as numbers, as bytes, and with what the model says of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from struct import Struct, iter_unpack
from sys import byteorder
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fraud.schema import Schema

if TYPE_CHECKING:
    from fraud.inputs.keys import KeyHasher

ID_COLUMN = "transaction_id"
"""What a transaction's id is called in requests, answers, the log, labels and files of scores."""

Packed = bytes
"""Transactions behind one another, each as little-endian float64 in the order of its schema's inputs."""

Texts = tuple[str | None, ...]
"""Of one transaction what numbers do not hold: its categories as they were sent, and its keys, hashed; in the order of
``schema.of_kind("category", "key")``, None where there is none."""


Kind = TypeVar("Kind", bound=tuple[Any, ...])


def maker(kind: type[Kind]) -> Callable[[tuple[Any, ...]], Kind]:
    """What makes a named tuple of its values, unasked whether they are so many: in half the time."""
    return partial(tuple.__new__, kind)


def packer(inputs: int) -> Callable[..., Packed]:
    """What makes ``Packed`` of the values of one transaction, so many."""
    return Struct(f"<{inputs}d").pack


class Model(Protocol):
    """A model, to whoever carries its rows."""

    schema: Schema
    """That of its transactions."""
    amount: int | None
    """Where the amount stands in a row array."""
    served: Any
    """``fraud.store.Served``, once it is loaded."""
    hash_key: "KeyHasher | None"
    """What its keys are hashed with."""


class Decoded(NamedTuple):
    """One valid transaction, with the model that decoded it and alone may score it. ``name``: its id, or empty."""

    row: Packed
    texts: Texts
    name: str
    model: Model


@dataclass(frozen=True)
class Rows:
    """Valid transactions of one model: ``values`` float64 ``(n, inputs)`` in schema order, ``ids`` one string a row, or
    empty, ``texts`` one a row, or none where no row has any."""

    values: NDArray[np.float64]
    ids: tuple[str, ...]
    texts: tuple[Texts, ...]
    model: Model


_row_of, _model_of = itemgetter(0), itemgetter(3)


class ScoredRow(NamedTuple):
    """What the model says of one row; ``features`` are those it looked at, little-endian float32."""

    fraud_probability: float
    is_fraud: bool
    model_version: str
    features: bytes | None = None


def together(decoded: Sequence[Decoded]) -> Rows:
    """Transactions of one model, one at least."""
    rows, texts, names, models = zip(*decoded, strict=True)
    return Rows(unpack(rows), names, texts, models[0])


def by_model(
    decoded: Sequence[Decoded], score: Callable[[Model, NDArray[np.float64]], list[ScoredRow]]
) -> list[ScoredRow]:
    """What ``score(model, rows)`` says of each transaction, in their order: each is scored by its own model."""
    models = set(map(_model_of, decoded))
    if len(models) == 1:
        return score(models.pop(), unpack([*map(_row_of, decoded)]))
    scored: list[ScoredRow | None] = [None] * len(decoded)
    for model in models:
        own = [place for place, one in enumerate(decoded) if one.model is model]
        for place, row in zip(own, score(model, unpack([decoded[place].row for place in own])), strict=True):
            scored[place] = row
    return [row for row in scored if row is not None]


def unpack(rows: Sequence[Packed]) -> NDArray[np.float64]:
    """Packed transactions, one at least, as float64 ``(n, inputs)``."""
    return np.frombuffer(b"".join(rows), "<f8").reshape(len(rows), -1)


def pack(values: NDArray[np.float64]) -> Packed:
    """Transactions, float64 ``(n, inputs)``, as ``Packed``."""
    return _little(values).tobytes()


def each(rows: NDArray[np.float32] | NDArray[np.float64]) -> list[bytes]:
    """The bytes of each row ``(n, k)``, little-endian."""
    parts = iter_unpack(f"{rows.itemsize * rows.shape[1]}s", _little(rows).tobytes())
    return [row for (row,) in parts]


def _little(values: NDArray[Any]) -> NDArray[Any]:
    return values if byteorder == "little" else values.astype(values.dtype.newbyteorder("<"))
