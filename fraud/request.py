"""From the bytes of a request to validated rows, or a RefusedError that says what is wrong.

pydantic's JSON parser keeps the last of two equal keys and says nothing. A valid body holds two quotes for each key
and two for each id, so counting quotes finds a repeated or unknown key without parsing twice.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from operator import attrgetter
from typing import Annotated, Any

import numpy as np
from annotated_types import MaxLen, MinLen
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FailFast, ValidationError, create_model

from fraud.schema import COLUMNS, ID_COLUMN, Transaction

SHOWN = 20  # problems named in one answer
NAME_SHOWN = 64  # characters of a field's name in an answer; names come from the caller
PREDICT_BYTES = 16 * 1024  # a transaction with every digit of every number takes under 1 KiB

_UNKNOWN, _REPEATED = "is not a field of a transaction", "is given more than once"
_MESSAGES = {"missing": "is required", "extra_forbidden": _UNKNOWN}
_KEYS = {"transactions", *Transaction.model_fields}


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


@dataclass(frozen=True)
class Rows:
    """Validated transactions: ``values`` float64 ``(n, 30)`` in schema order, ``ids`` one string a row, or empty."""

    values: NDArray[np.float64]
    ids: tuple[str, ...]


_values = attrgetter(*COLUMNS)


def parse_one(body: bytes) -> Rows:
    """Read one flat JSON transaction. Raises RefusedError."""
    try:
        transaction: Any = Transaction.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error) from None
    return _rows([transaction], body, keys=0)


def batch_model(max_rows: int) -> type[BaseModel]:
    """Model of ``{"transactions": [...]}`` with at most ``max_rows`` of them; it stops at the first bad one."""
    transactions = Annotated[list[Transaction], FailFast(), MinLen(1), MaxLen(max_rows)]
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
    try:
        # unknown keys are left to the count of quotes: pydantic takes 20 s to refuse 8 MiB of them one by one
        batch: Any = model.model_validate_json(body, extra="ignore")
    except ValidationError as error:
        raise _refusal(error) from None
    return _rows(batch.transactions, body, keys=1)


def _rows(transactions: list[Any], body: bytes, keys: int) -> Rows:
    ids = tuple(transaction.transaction_id for transaction in transactions)
    expected = 2 * (keys + sum(len(transaction.model_fields_set) for transaction in transactions))
    expected += 2 * sum(map(bool, ids))
    if body.count(b'"') != expected:
        raise _surplus(body)
    return Rows(np.array([_values(transaction) for transaction in transactions], dtype=np.float64), ids)


def _refusal(error: ValidationError) -> RefusedError:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    first = problems[0]
    if first["type"] == "json_invalid":
        return RefusedError(HTTPStatus.BAD_REQUEST, "malformed", f"the body is not JSON: {first['msg']}")
    return _invalid([_detail(problem) for problem in problems[:SHOWN]], len(problems))


def _invalid(details: list[dict[str, str]], problems: int) -> RefusedError:
    more = f" (and {problems - 1} more)" if problems > 1 else ""
    summary = f"not valid: {details[0]['field']} {details[0]['message']}{more}"
    return RefusedError(HTTPStatus.BAD_REQUEST, "invalid", summary, details)


def _detail(problem: Any) -> dict[str, str]:  # noqa: ANN401 - pydantic's ErrorDetails
    place = ".".join(str(part)[:NAME_SHOWN] for part in problem["loc"]) or "body"
    message = _MESSAGES.get(problem["type"], problem["msg"].replace("Input should", "should"))
    return {"field": place, "message": message}


def _surplus(body: bytes) -> RefusedError:
    """Name the repeated and unknown keys of a body that is valid otherwise."""
    found: dict[str, str] = {}

    def note(pairs: list[tuple[str, Any]]) -> None:
        for name, times in Counter(name for name, _ in pairs).items():
            if times > 1 or name not in _KEYS:
                found[name] = _REPEATED if times > 1 else _UNKNOWN

    json.loads(body, object_pairs_hook=note)
    shown = islice(found.items(), SHOWN)
    return _invalid([{"field": name[:NAME_SHOWN], "message": message} for name, message in shown], len(found))


def id_of(rows: Rows, position: int) -> dict[str, str]:
    """``{"transaction_id": ...}`` of a row, or nothing when it has none."""
    return {ID_COLUMN: rows.ids[position]} if rows.ids[position] else {}
