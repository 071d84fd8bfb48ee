"""From the bytes of a request to validated rows, or a RefusedError that says what is wrong.

``fraud.decode`` reads what is valid; pydantic finds out what is wrong with the rest. It too keeps the last of two equal
keys and says nothing, and here too they are found by counting quotes.

A large body must not cost more to refuse than to score. pydantic copies the whole row into each "missing" problem and
words every unknown key: 8 MiB in one row took it 20 seconds and gigabytes. So the rows of a batch lack nothing in its
eyes and may hold anything, and what is missing or too much is found here, by counting.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from operator import attrgetter
from typing import Annotated, Any

import numpy as np
from annotated_types import MaxLen, MinLen
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError, create_model

from fraud.decode import Rows, decode_many, decode_one, quotes, unpack
from fraud.schema import COLUMNS, ID_COLUMN, Label, Transaction

SHOWN = 20  # problems named in one answer
NAME_SHOWN = 64  # characters of a field's name in an answer: the name may be the caller's own
PREDICT_BYTES = 16 * 1024  # a transaction with every digit of every number takes under 1 KiB

_MISSING, _UNKNOWN, _REPEATED = "is required", "is not a field of a transaction", "given more than once"
_MESSAGES = {
    "missing": _MISSING,
    "extra_forbidden": _UNKNOWN,
    "string_pattern_mismatch": "should be 1 to 64 letters, digits or . _ : / - and start with a letter or digit",
    "too_short": "should hold at least one transaction",
}
_TRANSACTION, _BATCH, _LABEL = "the transaction", "the batch", "the label"


@dataclass
class RefusedError(Exception):
    """A request that is not served: HTTP status, metric reason, and words for the caller."""

    status: HTTPStatus
    reason: str
    error: str
    details: list[dict[str, str]] = field(default_factory=list)

    def body(self) -> dict[str, Any]:
        """The JSON answer."""
        return {"error": self.error, "details": self.details}


_values: Callable[[Any], tuple[float, ...]] = attrgetter(*COLUMNS)


def parse_one(body: bytes) -> Rows:
    """Read one flat JSON transaction. Raises RefusedError."""
    if (decoded := decode_one(body)) is not None:
        row, name = decoded
        return Rows(unpack([row]), (name,))
    try:
        transaction: Any = Transaction.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error, _TRANSACTION) from None
    return _rows([transaction], body, _TRANSACTION)


def parse_label(body: bytes) -> Label:
    """Read ``{"transaction_id": ..., "is_fraud": ...}``. Raises RefusedError."""
    try:
        label = Label.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error, _LABEL) from None
    if body.count(b'"') != 2 * (len(Label.model_fields) + 1):  # a key given twice: which one was meant?
        raise _invalid(_LABEL, [{"field": "body", "message": "names a field more than once"}], 1)
    return label


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


def parse_many(body: bytes, model: type[BaseModel], max_rows: int) -> Rows:
    """Read ``{"transactions": [...]}``. Raises RefusedError; one bad row refuses the whole call."""
    if body.count(b"{") > max_rows + 1:
        raise RefusedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"at most {max_rows} transactions in one call"
        )
    if (rows := decode_many(body)) is not None:
        return rows
    try:
        batch: Any = model.model_validate_json(body, extra="ignore")
    except ValidationError as error:
        raise _refusal(error, _BATCH) from None
    return _rows(batch.transactions, body, _BATCH)


def _rows(transactions: list[Any], body: bytes, what: str) -> Rows:
    ids = tuple(transaction.transaction_id for transaction in transactions)
    keys = sum(len(transaction.model_fields_set) for transaction in transactions)
    given = sum(map(bool, ids))
    if keys - given != len(COLUMNS) * len(transactions):
        raise _incomplete(transactions, what)
    if body.count(b'"') != quotes(len(transactions), given) + 2 * (what == _BATCH):
        raise _surplus(body, what)
    return Rows(np.array([_values(transaction) for transaction in transactions], dtype=np.float64), ids)


def _refusal(error: ValidationError, what: str) -> RefusedError:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    first = problems[0]
    if first["type"] == "json_invalid":
        return RefusedError(
            HTTPStatus.BAD_REQUEST, "malformed", f"the body is not JSON: {first['msg'].removeprefix('Invalid JSON: ')}"
        )
    return _invalid(what, [_detail(problem) for problem in problems[:SHOWN]], len(problems))


def _detail(problem: Any) -> dict[str, str]:  # noqa: ANN401 - pydantic's ErrorDetails
    place = ".".join(str(part)[:NAME_SHOWN] for part in problem["loc"]) or "body"
    message = _MESSAGES.get(problem["type"], problem["msg"].replace("Input should", "should"))
    return {"field": place, "message": message}


def _incomplete(transactions: list[Any], what: str) -> RefusedError:
    """Name what is missing in the first row that lacks something."""
    short = (len(transaction.model_fields_set - {ID_COLUMN}) < len(COLUMNS) for transaction in transactions)
    position = list(short).index(True)
    absent = [name for name in COLUMNS if name not in transactions[position].model_fields_set]
    details = [{"field": f"transactions.{position}.{name}", "message": _MISSING} for name in absent]
    return _invalid(what, details[:SHOWN], len(details))


def _surplus(body: bytes, what: str) -> RefusedError:
    """Name the repeated and the unknown keys of a body that is valid otherwise."""
    outer = json.loads(body, object_pairs_hook=list)
    fields = set(Transaction.model_fields)
    objects = [("", outer, fields)]
    if what == _BATCH:
        rows = enumerate(dict(outer)["transactions"])
        objects = [("", outer, {"transactions"}), *((f"transactions.{number}.", row, fields) for number, row in rows)]
    found = [
        (place + name[:NAME_SHOWN], _REPEATED if times > 1 else _UNKNOWN)
        for place, pairs, known in objects
        for name, times in Counter(name for name, _ in pairs).items()
        if times > 1 or name not in known
    ]
    details = [{"field": name, "message": message} for name, message in found[:SHOWN]]
    return _invalid(what, details, len(found))


def _invalid(what: str, details: list[dict[str, str]], problems: int) -> RefusedError:
    """``details``: the first of all ``problems``."""
    more = f" (and {problems - 1} more)" if problems > 1 else ""
    summary = f"{what} is not valid: {details[0]['field']} {details[0]['message']}{more}"
    return RefusedError(HTTPStatus.BAD_REQUEST, "invalid", summary, details)
