"""Valid bodies to rows, in a third of pydantic's time: what a service is sent nearly always.

msgspec checks types, bounds, and missing and unknown fields while it parses; the rules are those of ``fraud.schema``.
Whatever it does not take is None here, and pydantic, in ``fraud.request``, has the last word and all words for the
caller. So nothing may be taken here that pydantic refuses: ``tests/fraud/test_decode.py`` looks for such a body.

Of two equal keys msgspec keeps the last and says nothing. A valid body holds two quotes for each key and two for each
id, so counting quotes finds a repeated key without parsing twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct
from typing import Annotated, Any

import numpy as np
from msgspec import DecodeError, Meta, defstruct, json
from msgspec.structs import astuple
from numpy.typing import NDArray

from fraud.schema import COLUMNS, ID_COLUMN, ID_PATTERN, bounds

Packed = bytes
"""Transactions behind one another, each as 30 little-endian float64 in the order of COLUMNS."""


@dataclass(frozen=True)
class Rows:
    """Valid transactions: ``values`` float64 ``(n, 30)`` in schema order, ``ids`` one string a row, or empty."""

    values: NDArray[np.float64]
    ids: tuple[str, ...]


def _number(column: str) -> Any:  # noqa: ANN401 - a type
    lowest, highest = bounds(column)
    return Annotated[float, Meta(ge=lowest, le=highest)]


_PATTERN = ID_PATTERN.removesuffix("$") + r"\Z"  # Python's $ lets a line break follow; pydantic's does not
_NAME = (ID_COLUMN, Annotated[str, Meta(pattern=_PATTERN)], "")
_Transaction = defstruct(
    "_Transaction", [*((column, _number(column)) for column in COLUMNS), _NAME], forbid_unknown_fields=True, gc=False
)
_Batch = defstruct("_Batch", [("transactions", list[_Transaction])], forbid_unknown_fields=True)  # type: ignore[valid-type]

_NOT_VALID = (DecodeError, UnicodeDecodeError)
_pack = Struct(f"<{len(COLUMNS)}d").pack
_decode_one = json.Decoder(_Transaction).decode
_decode_many: Any = json.Decoder(_Batch).decode


def decode_one(body: bytes) -> tuple[Packed, str] | None:
    """One transaction and its id (or an empty text); None if ``body`` is not surely a valid one."""
    try:
        row = astuple(_decode_one(body))
    except _NOT_VALID:
        return None
    name = row[-1]
    return (_pack(*row[:-1]), name) if body.count(b'"') == quotes(1, bool(name)) else None


def decode_many(body: bytes) -> Rows | None:
    """All of ``{"transactions": [...]}``; None if ``body`` is not surely a valid batch of at least one."""
    try:
        rows = [astuple(row) for row in _decode_many(body).transactions]
    except _NOT_VALID:
        return None
    ids = tuple(row[-1] for row in rows)
    if not rows or body.count(b'"') != quotes(len(rows), sum(map(bool, ids))) + 2:
        return None
    return Rows(unpack(_pack(*row[:-1]) for row in rows), ids)


def unpack(rows: Iterable[Packed]) -> NDArray[np.float64]:
    """Packed transactions as float64 ``(n, 30)``."""
    return np.frombuffer(b"".join(rows), "<f8").reshape(-1, len(COLUMNS))


def pack(values: NDArray[np.float64]) -> Packed:
    """The reverse of ``unpack``."""
    return values.astype("<f8", copy=False).tobytes()


def quotes(rows: int, named: int) -> int:
    """How many of them there are in valid transactions of which ``named`` have an id."""
    return 2 * (len(COLUMNS) * rows + 2 * named)
