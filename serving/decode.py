"""From the bytes of a request to valid rows, or a RefusedError that says what is wrong.

msgspec checks types, bounds, and missing and unknown fields while it parses, in a third of pydantic's time; the rules
are those of ``fraud.schema``. What it does not take is None, and pydantic has the last word and all words for the
caller (``serving.refuse``). So msgspec may take nothing that pydantic refuses: ``tests/serving/test_decode.py`` looks
for such a body.

Of two equal keys both keep the last and say nothing. A valid body holds two quotes for each key and two for each id, so
counting quotes finds a repeated key without parsing twice.

A large body must not cost more to refuse than to score. pydantic copies the whole row into each "missing" problem and
words every unknown key: 8 MiB in one row took it 20 seconds and gigabytes. So the rows of a batch lack nothing in its
eyes and may hold anything, and what is missing or too much is found here, by counting.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Annotated, Any

import numpy as np
from annotated_types import MaxLen, MinLen
from msgspec import DecodeError, Meta, defstruct, json
from msgspec.structs import astuple
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError, create_model

from fraud.rows import Packed, Rows, pack_row, unpack
from fraud.schema import COLUMNS, ID_COLUMN, ID_PATTERN, Label, Transaction, bounds
from serving import refuse

PREDICT_BYTES = 16 * 1024  # a transaction with every digit of every number takes under 1 KiB


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
_decode_one = json.Decoder(_Transaction).decode
_decode_many: Any = json.Decoder(_Batch).decode


def decode_one(body: bytes) -> tuple[Packed, str] | None:
    """One transaction and its id (or an empty text); None if ``body`` is not surely a valid one."""
    try:
        row = astuple(_decode_one(body))
    except _NOT_VALID:
        return None
    name = row[-1]
    return (pack_row(*row[:-1]), name) if body.count(b'"') == quotes(1, bool(name)) else None


def decode_many(body: bytes) -> Rows | None:
    """All of ``{"transactions": [...]}``; None if ``body`` is not surely a valid batch of at least one."""
    try:
        rows = [astuple(row) for row in _decode_many(body).transactions]
    except _NOT_VALID:
        return None
    ids = tuple(row[-1] for row in rows)
    if not rows or body.count(b'"') != quotes(len(rows), sum(map(bool, ids))) + 2:
        return None
    return Rows(unpack(pack_row(*row[:-1]) for row in rows), ids)


def quotes(rows: int, named: int) -> int:
    """How many of them there are in valid transactions of which ``named`` have an id."""
    return 2 * (len(COLUMNS) * rows + 2 * named)


def parse_one(body: bytes) -> Rows:
    """Read one flat JSON transaction. Raises RefusedError."""
    if (decoded := decode_one(body)) is not None:
        row, name = decoded
        return Rows(unpack([row]), (name,))
    try:
        transaction: Any = Transaction.model_validate_json(body)
    except ValidationError as error:
        raise refuse.from_pydantic(error, refuse.TRANSACTION) from None
    return _rows([transaction], body, refuse.TRANSACTION)


def parse_label(body: bytes) -> Label:
    """Read ``{"transaction_id": ..., "is_fraud": ...}``. Raises RefusedError."""
    try:
        label = Label.model_validate_json(body)
    except ValidationError as error:
        raise refuse.from_pydantic(error, refuse.LABEL) from None
    if body.count(b'"') != 2 * (len(Label.model_fields) + 1):
        raise refuse.repeated(refuse.LABEL)
    return label


def parse_many(body: bytes, model: type[BaseModel], max_rows: int) -> Rows:
    """Read ``{"transactions": [...]}``; ``model`` is ``batch_model(max_rows)``.

    Raises RefusedError; one bad row refuses the whole call.
    """
    if body.count(b"{") > max_rows + 1:
        raise refuse.too_large(f"at most {max_rows} transactions in one call")
    if (rows := decode_many(body)) is not None:
        return rows
    try:
        batch: Any = model.model_validate_json(body, extra="ignore")
    except ValidationError as error:
        raise refuse.from_pydantic(error, refuse.BATCH) from None
    return _rows(batch.transactions, body, refuse.BATCH)


class _Loose(Transaction):
    model_config = ConfigDict(json_schema_extra={"required": list(COLUMNS)})


_Row = create_model(  # type: ignore[call-overload]
    "Transaction",
    __base__=_Loose,
    __doc__=Transaction.__doc__,
    **{
        name: (Annotated[float, *field.metadata], Field(default_factory=float, description=field.description))
        for name, field in Transaction.model_fields.items()
        if name in COLUMNS
    },
)


def batch_model(max_rows: int) -> type[BaseModel]:
    """Model of ``{"transactions": [...]}`` with at most ``max_rows`` of them; it stops at the first bad one.

    It lets missing and unknown fields through to ``parse_many``.
    """
    transactions = Annotated[list[_Row], FailFast(), MinLen(1), MaxLen(max_rows)]
    return create_model(
        "TransactionBatch",
        __config__=ConfigDict(strict=True, extra="forbid", frozen=True),
        __doc__="Many card transactions, as ``POST /predict_batch`` takes them.",
        transactions=(transactions, ...),
    )


_values: Callable[[Any], tuple[float, ...]] = attrgetter(*COLUMNS)


def _rows(transactions: list[Any], body: bytes, what: str) -> Rows:
    """Rows of what pydantic took, unless something is missing or too much."""
    ids = tuple(transaction.transaction_id for transaction in transactions)
    named = sum(map(bool, ids))
    if sum(len(transaction.model_fields_set) for transaction in transactions) - named != len(COLUMNS) * len(ids):
        raise _incomplete(transactions)
    if body.count(b'"') != quotes(len(ids), named) + 2 * (what == refuse.BATCH):
        raise refuse.surplus(body, what, Transaction.model_fields)
    return Rows(np.array([_values(transaction) for transaction in transactions], dtype=np.float64), ids)


def _incomplete(transactions: list[Any]) -> refuse.RefusedError:
    """Name what is missing in the first row that lacks something."""
    short = (len(transaction.model_fields_set - {ID_COLUMN}) < len(COLUMNS) for transaction in transactions)
    position = list(short).index(True)
    return refuse.missing(position, (name for name in COLUMNS if name not in transactions[position].model_fields_set))
