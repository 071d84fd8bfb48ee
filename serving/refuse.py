"""Why a request is not served: status, metric reason, and words for the caller."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple

from bentoml.exceptions import BentoMLException
from pydantic import ValidationError

RETRY_AFTER_SECONDS = 1
SHOWN = 20  # problems named in one answer
WORDS_SHOWN = 300  # characters of a message: declared levels may be thousands
NAME_SHOWN = 64  # characters of a field's name in an answer: the name may be the caller's own

TRANSACTION, BATCH, LABEL = "the transaction", "the batch", "the label"


class Shape(NamedTuple):
    """How something that is sent should look: its required fields, and words for them."""

    required: frozenset[str]
    unknown: str
    expected: str


def shapes_of(names: Sequence[str], required: Iterable[str]) -> tuple[Shape, Shape, Shape]:
    """Of a transaction with these fields, of one in a batch, and of a batch."""
    some = [*names[:2], "...", names[-1]] if len(names) > 3 else names
    row = (
        "{"
        + ", ".join(name if name == "..." else f"{json.dumps(name, ensure_ascii=False)}: ..." for name in some)
        + "}"
    )
    one = Shape(
        frozenset(required), "is not a field of a transaction", f"one flat object, {row}; many at once: /predict_batch"
    )
    batch = f'{{"transactions": [{row}, ...]}}'
    return (
        one,
        one._replace(expected=f"one flat object, {row}"),
        Shape(frozenset({"transactions"}), "is not a field of a batch", batch),
    )


LABEL_SHAPE = Shape(
    frozenset({"transaction_id", "is_fraud"}),
    "is not a field of a label",
    '{"transaction_id": ..., "is_fraud": true or false}',
)
_MISSING, _REPEATED = "is required", "given more than once"
_MESSAGES = {
    "missing": _MISSING,
    "string_type": "should be text, in quotes",
    "string_pattern_mismatch": "should be 1 to 64 letters, digits or . _ : / - and start with a letter or digit",
    "too_short": "should hold at least one transaction",
    "dict_type": "should be an object",
    "list_type": "should be a valid array",
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


def metrics_gone() -> RefusedError:
    """The files with the metrics of this worker were removed."""
    words = "the folder with the metrics was removed under the service; start the service anew"
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", words)


def metrics_held() -> RefusedError:
    """The files with the metrics are being put together by a worker that does not go on."""
    words = "the metrics are held by a worker that stands still; it is replaced soon, ask again"
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", words)


def takes_no_labels() -> RefusedError:
    """There is no ``/feedback`` with these settings."""
    words = "this service takes no labels: it does where both FRAUD_DATABASE_URL and FRAUD_API_KEYS are set"
    return RefusedError(HTTPStatus.NOT_FOUND, "malformed", words)


def no_database() -> RefusedError:
    """A label cannot be kept."""
    words = "the database does not take labels now (the log says why); this one was not kept, send it again"
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", words)


def crowded() -> RefusedError:
    """One call too many at once."""
    return RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "overloaded", "too many calls at once; try again shortly")


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


def malformed(words: str) -> RefusedError:
    """No JSON at all."""
    return RefusedError(HTTPStatus.BAD_REQUEST, "malformed", f"the body is not JSON: {words}")


def from_pydantic(error: ValidationError, what: str, shape: Shape, place: str = "") -> RefusedError:
    """What pydantic found in ``what``, which should be of ``shape``; of a batch's row where there is a ``place``."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    if problems[0]["type"] == "json_invalid":
        return malformed(problems[0]["msg"].removeprefix("Invalid JSON: "))
    return invalid(what, _worded(problems, shape, place))


def _worded(problems: Sequence[Any], shape: Shape, place: str) -> Iterator[tuple[str, str]]:
    """Field and message of each of pydantic's problems, those first that say what to do."""
    absent = {_place(problem): problem for problem in problems if problem["type"] == "missing"}
    unknown = [_place(problem) for problem in problems if problem["type"] == "extra_forbidden"]
    spelt = {name: meant for name in unknown for meant in absent if name.strip().lower() == meant.lower()}
    yield from ((place + name, f"{shape.unknown}: did you mean {meant}?") for name, meant in spelt.items())
    if shape.required <= set(absent) and unknown and not spelt:
        yield place + unknown[0], f"{shape.unknown}: expected {shape.expected}"
        return
    messages = _MESSAGES | {"extra_forbidden": shape.unknown}
    for problem in problems:
        name = _place(problem)
        if not problem["loc"]:
            words = "should be an object"
            yield (place.removesuffix("."), words) if place else ("body", f"{words}: expected {shape.expected}")
        elif name not in spelt and not (problem["type"] == "missing" and name in spelt.values()):
            words = problem["msg"].replace("Input should", "should").replace("String should", "should")
            yield place + name or "body", messages.get(problem["type"], shortened(words))


def shortened(words: str) -> str:
    """Words that list what there may be, however much that is."""
    return words if len(words) <= WORDS_SHOWN else f"{words[:WORDS_SHOWN]} ..."


def _place(problem: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    return ".".join(str(part)[:NAME_SHOWN] for part in problem["loc"])


def repeated_keys(pairs: Iterable[tuple[str, object]], what: str, place: str = "") -> RefusedError | None:
    """Name the keys that are there more than once: which one was meant? None when each is there once."""
    times = Counter(name for name, _ in pairs)
    found = [(place + name[:NAME_SHOWN], _REPEATED) for name, count in times.items() if count > 1]
    return invalid(what, found) if found else None
