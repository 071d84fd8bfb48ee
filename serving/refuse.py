"""Why a request is not served: status, metric reason, and words for the caller."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from bentoml.exceptions import BentoMLException
from pydantic import ValidationError

SHOWN = 20  # problems named in one answer
NAME_SHOWN = 64  # characters of a field's name in an answer: the name may be the caller's own

TRANSACTION, BATCH, LABEL = "the transaction", "the batch", "the label"

_MISSING, _UNKNOWN, _REPEATED = "is required", "is not a field of a transaction", "given more than once"
_MESSAGES = {
    "missing": _MISSING,
    "extra_forbidden": _UNKNOWN,
    "string_pattern_mismatch": "should be 1 to 64 letters, digits or . _ : / - and start with a letter or digit",
    "too_short": "should hold at least one transaction",
}


@dataclass
class RefusedError(BentoMLException):
    """A request that is not served. ``status`` is what BentoML's own path answers with too."""

    status: HTTPStatus
    reason: str
    error: str
    details: list[dict[str, str]] = field(default_factory=list)

    @property
    def error_code(self) -> HTTPStatus:  # type: ignore[override] # BentoML's name for the status
        """The status."""
        return self.status

    def body(self) -> bytes:
        """The JSON answer."""
        return error_body(self.error, self.details)


def error_body(error: str, details: Sequence[dict[str, str]] = ()) -> bytes:
    """The one shape of every error answer."""
    return json.dumps({"error": error, "details": list(details)}, separators=(",", ":"), ensure_ascii=False).encode()


def not_ready() -> RefusedError:
    """There is no model to score with."""
    words = "no model is ready; the service's log says why"
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", words)


def no_database() -> RefusedError:
    """A label cannot be kept."""
    words = "the database cannot be reached; the label was not kept, send it again"
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", words)


def overloaded() -> RefusedError:
    """The answer would come too late."""
    words = "the service is overloaded; try again shortly"
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "overloaded", words)


def not_json() -> RefusedError:
    """Another kind of body, or a packed one."""
    words = "expected plain JSON with Content-Type: application/json"
    return RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not_json", words)


def too_large(words: str) -> RefusedError:
    """More bytes or rows than one call may have."""
    return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", words)


def invalid(what: str, problems: Iterable[tuple[str, str]]) -> RefusedError:
    """JSON that is no valid ``what``. ``problems``: field and message of each, at least one."""
    every = list(problems)
    more = f" (and {len(every) - 1} more)" if len(every) > 1 else ""
    details = [{"field": name, "message": message} for name, message in every[:SHOWN]]
    summary = f"{what} is not valid: {details[0]['field']} {details[0]['message']}{more}"
    return RefusedError(HTTPStatus.BAD_REQUEST, "invalid", summary, details)


def from_pydantic(error: ValidationError, what: str) -> RefusedError:
    """What pydantic found."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    first = problems[0]
    if first["type"] == "json_invalid":
        words = f"the body is not JSON: {first['msg'].removeprefix('Invalid JSON: ')}"
        return RefusedError(HTTPStatus.BAD_REQUEST, "malformed", words)
    return invalid(what, map(_problem, problems))


def _problem(problem: Any) -> tuple[str, str]:  # noqa: ANN401 - pydantic's ErrorDetails
    place = ".".join(str(part)[:NAME_SHOWN] for part in problem["loc"]) or "body"
    return place, _MESSAGES.get(problem["type"], problem["msg"].replace("Input should", "should"))


def missing(position: int, names: Iterable[str]) -> RefusedError:
    """A row of a batch lacks fields."""
    return invalid(BATCH, ((f"transactions.{position}.{name}", _MISSING) for name in names))


def surplus(body: bytes, what: str, fields: Collection[str]) -> RefusedError:
    """Name the repeated and the unknown keys of a body that is valid otherwise; ``fields`` are a transaction's."""
    outer = json.loads(body, object_pairs_hook=list)
    objects = [("", outer, fields)]
    if what == BATCH:
        rows = enumerate(dict(outer)["transactions"])
        objects = [("", outer, {"transactions"}), *((f"transactions.{number}.", row, fields) for number, row in rows)]
    return invalid(
        what,
        (
            (place + name[:NAME_SHOWN], _REPEATED if times > 1 else _UNKNOWN)
            for place, pairs, known in objects
            for name, times in Counter(name for name, _ in pairs).items()
            if times > 1 or name not in known
        ),
    )


def repeated(what: str) -> RefusedError:
    """Some key is there twice: which one was meant?"""
    return invalid(what, [("body", "names a field more than once")])
