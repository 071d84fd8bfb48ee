"""From the bytes of a request to valid rows, or a RefusedError that says what is wrong.

msgspec checks types, bounds, and missing and unknown fields while it parses, in a third of pydantic's time; the rules
are those of the served model's schema (``serving.contract``). What it does not take is None, and pydantic has the last
word and all words for the caller (``serving.refuse``). So msgspec may take nothing that pydantic refuses:
``tests/serving/test_decode.py`` looks for such a body.

Of two equal keys both keep the last and say nothing. A valid body holds two quotes for each key that is there and two
for each text, so counting quotes finds a repeated key without parsing twice; where a backslash may hide a quote, the
keys themselves are counted.

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
from msgspec import Raw, defstruct, json
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError
from pydantic_core import from_json

from fraud.rows import Decoded, Rows, together
from serving import refuse
from serving.contract.contract import Contract
from serving.contract.models import Label
from serving.contract.quick import NOT_VALID, Quick

PREDICT_BYTES = 16 * 1024  # a transaction with every digit of every number takes under 1 KiB
PIECE_BYTES = 128 * 1024
"""A batch of more is not read at once: nobody else works for the while, half a millisecond for this much."""
PIECE_ROWS = 200
_MORE_COMMAS = 1_000_000
"""Besides twice those of the rows: whoever sends more sends something else, and an object would be made of each."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_Batch = defstruct("_Batch", [("transactions", list[Raw])], forbid_unknown_fields=True)

_cut: Any = json.Decoder(_Batch).decode
_BLANK = rb"[ \t\n\r]*"
_BEGINS = re.compile(rb'%b\{%b"transactions"%b:%b\[' % (_BLANK, _BLANK, _BLANK, _BLANK))
_ENDS, _COMMA = re.compile(rb"\]%b\}%b\Z" % (_BLANK, _BLANK)), re.compile(rb"%b," % _BLANK)


class Decoder:
    """Reads transactions of a contract."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._quick = Quick(contract)
        self.decode_one = self._quick.decode_one
        """One transaction; None if a body is not surely a valid one."""

    def _in_pieces(self, body: bytes, max_rows: int) -> Generator[None, None, Rows | None]:
        """A batch read piece by piece, each up to the end of a row; None if ``body`` is not surely a valid one.

        Raises RefusedError for more than ``max_rows``.
        """
        begins, ends = _BEGINS.match(body), _ENDS.search(body, max(0, len(body) - 64))
        pieces, size = list[Rows](), 0
        start, end = (begins.end(), ends.start()) if begins and ends else (0, 0)
        if self._quick.odd and b"\\" in body:
            return None
        while start < end:
            stop = body.find(b"}", start + PIECE_BYTES, end) + 1 or end
            piece = self._quick.decode_rows(body[start:stop])
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

    def parse_one(self, body: bytes) -> Decoded:
        """Read one flat JSON transaction. Raises RefusedError."""
        return self._parse_row(body.removeprefix(_BYTE_ORDER_MARK), refuse.TRANSACTION, self.contract.one)

    def parse_many(self, body: bytes, max_rows: int) -> Generator[None, None, Rows]:
        """Read ``{"transactions": [...]}``, in steps between which others may work; returns the rows at the end.

        Raises RefusedError; one bad row refuses the whole call.
        """
        body = body.removeprefix(_BYTE_ORDER_MARK)
        if (rows := (yield from self._in_pieces(body, max_rows))) is not None:
            return rows
        if (self._quick.is_flat and body.count(b"{") > max_rows + 1) or body.count(
            b","
        ) > self._quick.commas * max_rows + _MORE_COMMAS:
            raise _too_many(max_rows)
        return (yield from self._row_by_row(body, max_rows))

    def _row_by_row(self, body: bytes, max_rows: int) -> Generator[None, None, Rows]:
        """A batch cut into its rows. Raises RefusedError for the first that is not valid."""
        try:
            cut = _cut(body).transactions
        except NOT_VALID:
            raise (yield from self._outer_problem(body)) from None
        if not cut:
            raise (yield from self._outer_problem(body))
        if not self._quick.is_flat and len(cut) > max_rows:
            raise _too_many(max_rows)
        rows, size = [], 0
        for position, raw in enumerate(cut):
            text = bytes(raw)
            size += text.count(b'"')
            place = f"transactions.{position}."
            rows.append(self._parse_row(text, refuse.BATCH, self.contract.row, place))
            if position % PIECE_ROWS == 0:
                yield
        if body.count(b'"') != size + 2:
            raise self._repeated(body, refuse.BATCH)
        return together(rows)

    def _parse_row(self, text: bytes, what: str, shape: refuse.Shape, place: str = "") -> Decoded:
        """One transaction, of a batch where there is a ``place``. Raises RefusedError."""
        if (decoded := self.decode_one(text)) is not None:
            return decoded
        if len(text) > PREDICT_BYTES:  # pydantic would copy all of it into each of its words
            field = place.removesuffix(".") or "body"
            raise refuse.invalid(what, [(field, f"should be smaller than {PREDICT_BYTES} bytes")])
        try:
            transaction = self.contract.transaction.model_validate_json(text)
        except ValidationError as error:
            raise refuse.from_pydantic(error, what, shape, place) from None
        pairs = _pairs(text)
        if (refusal := refuse.repeated_keys(pairs, what, place)) is not None:
            raise refusal
        row = self._quick.row_of(tuple(getattr(transaction, field) for field in self.contract.fields))
        if row is None:
            raise refuse.invalid(what, [(place.removesuffix("."), "cannot be read as one thing only")])
        return row

    def _outer_problem(self, body: bytes) -> Generator[None, None, refuse.RefusedError]:
        """Why a batch cannot be cut into rows: no JSON, another shape, or a number that JSON does not have.

        pydantic makes an object of each problem: it is shown no more keys than are told, and stops at the first bad
        row.
        """
        contract = self.contract
        try:
            outer = from_json(body)
            if isinstance(outer, dict) and len(outer) > refuse.SHOWN:
                shown = [name for name in outer if name != "transactions"][: refuse.SHOWN]
                outer = {name: outer[name] for name in ("transactions", *shown) if name in outer}
            rows = _Outer.model_validate(outer).transactions
        except ValidationError as error:
            return refuse.from_pydantic(error, refuse.BATCH, contract.batch)
        except ValueError as error:
            return refuse.malformed(str(error))
        for position, row in enumerate(rows):
            try:
                contract.transaction.model_validate(row)
            except ValidationError as error:
                return refuse.from_pydantic(error, refuse.BATCH, contract.row, f"transactions.{position}.")
            if position % PIECE_ROWS == 0:
                yield
        return self._repeated(body, refuse.BATCH)

    def _repeated(self, body: bytes, what: str) -> refuse.RefusedError:
        """Which key is there twice in a batch that is valid otherwise; outside, or in the first row that has one."""
        pairs = _pairs(body)
        refusal = refuse.repeated_keys(pairs, what)
        for position, row in enumerate(dict(pairs).get("transactions", [])):
            refusal = refusal or refuse.repeated_keys(row, what, f"transactions.{position}.")
        return refusal or refuse.malformed("it cannot be read as one thing only")


def _pairs(text: bytes) -> Any:  # noqa: ANN401
    """JSON with its keys as often as they are there. Raises RefusedError for what only part of it was looked at."""
    try:
        return loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError):
        raise refuse.malformed("it cannot be read as one thing only") from None


def _joined(pieces: Sequence[Rows]) -> Rows:
    ids, texts = (tuple(chain(*parts)) for parts in ((one.ids for one in pieces), (one.texts for one in pieces)))
    return Rows(np.concatenate([piece.values for piece in pieces]), ids, texts, pieces[0].model)


def _too_many(max_rows: int) -> refuse.RefusedError:
    return refuse.too_large(f"at most {max_rows} transactions in one call")


class _Outer(BaseModel):
    """A batch whose rows may be anything."""

    model_config = ConfigDict(strict=True, extra="forbid")

    transactions: Annotated[list[dict[str, Any]], FailFast()] = Field(min_length=1)


def parse_label(body: bytes) -> Label:
    """Read ``{"transaction_id": ..., "is_fraud": ...}``. Raises RefusedError."""
    try:
        label = Label.model_validate_json(body.removeprefix(_BYTE_ORDER_MARK))
    except ValidationError as error:
        raise refuse.from_pydantic(error, refuse.LABEL, refuse.LABEL_SHAPE) from None
    if body.count(b'"') != 2 * (len(Label.model_fields) + 1):
        pairs = _pairs(body.removeprefix(_BYTE_ORDER_MARK))
        raise refuse.repeated_keys(pairs, refuse.LABEL) or refuse.malformed("it cannot be read as one thing only")
    return label
