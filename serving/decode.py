"""From the bytes of a request to valid rows, or a RefusedError that says what is wrong.

msgspec checks types, bounds, and missing and unknown fields while it parses, in a third of pydantic's time; the rules
are those of ``fraud.schema``. What it does not take is None, and pydantic has the last word and all words for the
caller (``serving.refuse``). So msgspec may take nothing that pydantic refuses: ``tests/serving/test_decode.py`` looks
for such a body.

Of two equal keys both keep the last and say nothing. A valid body holds two quotes for each key and two for each id, so
counting quotes finds a repeated key without parsing twice.

A batch is cut into its rows, and each is read as if it had come alone. So the first bad row is found wherever it stands
at the cost of the rows before it. A batch that is valid is read faster: in pieces of many rows, between which others
may work.
"""

import re
from collections.abc import Generator, Sequence
from itertools import chain
from json import loads
from typing import Annotated, Any

import numpy as np
from msgspec import UNSET, DecodeError, Meta, Raw, UnsetType, defstruct, json
from msgspec.structs import astuple
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError
from pydantic_core import from_json

from fraud.rows import ID_COLUMN, Packed, Rows, pack_row, unpack
from fraud.schema import ID_PATTERN, default
from serving import refuse
from serving.contract.models import COLUMNS, Label, Transaction

PREDICT_BYTES = 16 * 1024  # a transaction with every digit of every number takes under 1 KiB
PIECE_BYTES = 128 * 1024
"""A batch of more is not read at once: nobody else works for the while, half a millisecond for this much."""
PIECE_ROWS = 200
_COMMAS, _MORE_COMMAS = 2 * (len(COLUMNS) + 1), 1_000_000
"""In each row, and besides: whoever sends more sends something else, and an object would be made of each."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def _number(column: str) -> Any:  # noqa: ANN401 - a type
    lowest, highest = default().columns[column].bounds
    return Annotated[float, Meta(ge=lowest, le=highest)]


_PATTERN = ID_PATTERN.removesuffix("$") + r"\Z"  # Python's $ lets a line break follow; pydantic's does not
_NAME = (ID_COLUMN, Annotated[str, Meta(pattern=_PATTERN)] | None | UnsetType, UNSET)
_Transaction = defstruct(
    "_Transaction", [*((column, _number(column)) for column in COLUMNS), _NAME], forbid_unknown_fields=True, gc=False
)
_Batch = defstruct("_Batch", [("transactions", list[Raw])], forbid_unknown_fields=True)

_NOT_VALID = (DecodeError, UnicodeDecodeError, RecursionError)
_decode_one = json.Decoder(_Transaction).decode
_cut: Any = json.Decoder(_Batch).decode
_decode_rows: Any = json.Decoder(list[_Transaction]).decode  # type: ignore[valid-type]
_BLANK = rb"[ \t\n\r]*"
_BEGINS = re.compile(rb'%b\{%b"transactions"%b:%b\[' % (_BLANK, _BLANK, _BLANK, _BLANK))
_ENDS, _COMMA = re.compile(rb"\]%b\}%b\Z" % (_BLANK, _BLANK)), re.compile(rb"%b," % _BLANK)


def decode_one(body: bytes) -> tuple[Packed, str] | None:
    """One transaction and its id (or an empty text); None if ``body`` is not surely a valid one."""
    try:
        *values, name = astuple(_decode_one(body))
    except _NOT_VALID:
        return None
    if body.count(b'"') != (_QUOTES if name is UNSET else _quotes(name)):
        return None
    return pack_row(*values), name or ""


_QUOTES = 2 * len(COLUMNS)
"""In a transaction without an id."""


def _quotes(name: str | UnsetType | None) -> int:
    """In a transaction with this id: its key makes two more, its value another two unless it is null."""
    return _QUOTES + (0 if name is UNSET else 2 if name is None else 4)


def _of_structs(structs: Sequence[Any], quotes: int) -> Rows | None:
    """Rows of msgspec's; None where there are none, or where ``quotes`` are not those of their keys and ids."""
    rows = [astuple(struct) for struct in structs]
    names = [row[-1] for row in rows]
    if not rows or quotes != sum(map(_quotes, names)):
        return None
    return Rows(unpack([pack_row(*row[:-1]) for row in rows]), tuple(name or "" for name in names))


def _in_pieces(body: bytes, max_rows: int) -> Generator[None, None, Rows | None]:
    """A batch read piece by piece, each up to the end of a row; None if ``body`` is not surely a valid one.

    Raises RefusedError for more than ``max_rows``.
    """
    begins, ends = _BEGINS.match(body), _ENDS.search(body, max(0, len(body) - 64))
    pieces, size = list[Rows](), 0
    start, end = (begins.end(), ends.start()) if begins and ends else (0, 0)
    while start < end:
        stop = body.find(b"}", start + PIECE_BYTES, end) + 1 or end
        text = body[start:stop]
        try:
            piece = _of_structs(_decode_rows(b"[%b]" % text), text.count(b'"'))
        except _NOT_VALID:
            return None
        if piece is None:
            return None
        pieces.append(piece)
        size += len(piece.ids)
        if size > max_rows:
            raise _too_many(max_rows)
        comma = _COMMA.match(body, stop, end)
        if comma is None and body[stop:end].strip(b" \t\n\r"):
            return None
        start = comma.end() if comma else end
        if comma and start == end:
            return None
        if start < end:
            yield
    return _joined(pieces) if pieces else None


def _joined(pieces: Sequence[Rows]) -> Rows:
    return Rows(np.concatenate([piece.values for piece in pieces]), tuple(chain(*(piece.ids for piece in pieces))))


def _too_many(max_rows: int) -> refuse.RefusedError:
    return refuse.too_large(f"at most {max_rows} transactions in one call")


def parse_one(body: bytes) -> Rows:
    """Read one flat JSON transaction. Raises RefusedError."""
    row, name = _parse_row(body.removeprefix(_BYTE_ORDER_MARK), refuse.TRANSACTION)
    return Rows(unpack([row]), (name,))


def parse_many(body: bytes, max_rows: int) -> Generator[None, None, Rows]:
    """Read ``{"transactions": [...]}``, in steps between which others may work; returns the rows at the end.

    Raises RefusedError; one bad row refuses the whole call.
    """
    body = body.removeprefix(_BYTE_ORDER_MARK)
    if (rows := (yield from _in_pieces(body, max_rows))) is not None:
        return rows
    if body.count(b"{") > max_rows + 1 or body.count(b",") > _COMMAS * max_rows + _MORE_COMMAS:
        raise _too_many(max_rows)
    return (yield from _row_by_row(body))


def _row_by_row(body: bytes) -> Generator[None, None, Rows]:
    """A batch cut into its rows. Raises RefusedError for the first that is not valid."""
    try:
        cut = _cut(body).transactions
    except _NOT_VALID:
        raise (yield from _outer_problem(body)) from None
    if not cut:
        raise (yield from _outer_problem(body))
    rows, names, size = [], [], 0
    for position, raw in enumerate(cut):
        text = bytes(raw)
        size += text.count(b'"')
        row, name = decode_one(text) or _parse_row(text, refuse.BATCH, f"transactions.{position}.")
        rows.append(row)
        names.append(name)
        if position % PIECE_ROWS == 0:
            yield
    if body.count(b'"') != size + 2:
        raise _repeated(body, refuse.BATCH)
    return Rows(unpack(rows), tuple(names))


def _parse_row(text: bytes, what: str, place: str = "") -> tuple[Packed, str]:
    """One transaction, of a batch where there is a ``place``. Raises RefusedError."""
    if (decoded := decode_one(text)) is not None:
        return decoded
    if len(text) > PREDICT_BYTES:  # pydantic would copy all of it into each of its words
        raise refuse.invalid(what, [(place.removesuffix("."), f"should be smaller than {PREDICT_BYTES} bytes")])
    try:
        transaction: Any = Transaction.model_validate_json(text)
    except ValidationError as error:
        raise refuse.from_pydantic(error, what, place) from None
    if text.count(b'"') != 2 * len(transaction.model_fields_set) + 2 * bool(transaction.transaction_id):
        raise _repeated(text, what, place)
    return pack_row(*(getattr(transaction, column) for column in COLUMNS)), transaction.transaction_id or ""


def parse_label(body: bytes) -> Label:
    """Read ``{"transaction_id": ..., "is_fraud": ...}``. Raises RefusedError."""
    try:
        label = Label.model_validate_json(body.removeprefix(_BYTE_ORDER_MARK))
    except ValidationError as error:
        raise refuse.from_pydantic(error, refuse.LABEL) from None
    if body.count(b'"') != 2 * (len(Label.model_fields) + 1):
        raise _repeated(body, refuse.LABEL)
    return label


class _Outer(BaseModel):
    """A batch whose rows may be anything."""

    model_config = ConfigDict(strict=True, extra="forbid")

    transactions: Annotated[list[dict[str, Any]], FailFast()] = Field(min_length=1)


def _outer_problem(body: bytes) -> Generator[None, None, refuse.RefusedError]:
    """Why a batch cannot be cut into rows: no JSON, another shape, or a number that JSON does not have.

    pydantic makes an object of each problem: it is shown no more keys than are told, and stops at the first bad row.
    """
    try:
        outer = from_json(body)
        if isinstance(outer, dict) and len(outer) > refuse.SHOWN:
            shown = [name for name in outer if name != "transactions"][: refuse.SHOWN]
            outer = {name: outer[name] for name in ("transactions", *shown) if name in outer}
        rows = _Outer.model_validate(outer).transactions
    except ValidationError as error:
        return refuse.from_pydantic(error, refuse.BATCH)
    except ValueError as error:
        return refuse.malformed(str(error))
    for position, row in enumerate(rows):
        try:
            Transaction.model_validate(row)
        except ValidationError as error:
            return refuse.from_pydantic(error, refuse.BATCH, f"transactions.{position}.")
        if position % PIECE_ROWS == 0:
            yield
    return _repeated(body, refuse.BATCH)


def _repeated(body: bytes, what: str, place: str = "") -> refuse.RefusedError:
    """Which key is there twice in a body that is valid otherwise; outside, or in the first row that has one."""
    pairs = loads(body, object_pairs_hook=list)
    refusal = refuse.repeated_keys(pairs, what, place)
    for position, row in enumerate(dict(pairs).get("transactions", [])):
        refusal = refusal or refuse.repeated_keys(row, what, f"transactions.{position}.")
    return refusal or refuse.malformed("it cannot be read as one thing only")
