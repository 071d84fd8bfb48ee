"""The document of the API, ``/docs.json``: OpenAPI 3.1, made of the models of ``fraud`` and of the settings.

BentoML's own is not valid, and knows neither our errors nor our keys. What is said here of statuses, headers and bodies
is tried against a running server by ``tests/e2e/test_api.py``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from fraud.rows import ID_COLUMN
from fraud.settings import Settings
from serving import access
from serving.contract.contract import Contract
from serving.contract.models import Error, Label, Prediction, Predictions, batch_of
from serving.decode import PREDICT_BYTES
from serving.edge import BATCH, METRICS, PREDICT
from serving.pages import FEEDBACK, MODEL, TITLE, ShortCard, WholeCard

VERSION = "0.1.0"
"""The product's, as in pyproject.toml, which does not ship."""
DESCRIPTION = """\
Scores transactions with a Random Forest: how likely is it that a transaction is fraud?
One transaction in a call, or many; each answer names the version of the model that gave it.
Every error has one shape: what is wrong and what to do, and the fields that are at fault.
"""

SCORING, SERVICE = "scoring", "service"
_TAGS = {SCORING: "Scores, labels, and the model that gives them.", SERVICE: "Health, metrics and documents."}
_KEY, _METRICS_KEY = "key", "metrics_key"
_JSON, _TEXT, _HTML = "application/json", "text/plain", "text/html"
_CONNECTION = frozenset({400, 408, 414, 431, 500, 504})
"""What any call may be answered with: a head that is no HTTP or beyond a bound, a defect, a time that is over."""
_BODY = frozenset({413, 415})
_REFUSALS: Mapping[int, tuple[str, str]] = {
    400: ("BadRequest", "Not HTTP/1.1, not JSON, or not valid: `details` names the fields."),
    401: ("Unauthorized", "A key is needed, and none that is known was sent."),
    403: ("Forbidden", "The key is known, and of another kind than this path needs."),
    408: ("RequestTimeout", "The head of the call took too long to come."),
    413: ("ContentTooLarge", "The body is too large, or has too many transactions."),
    414: ("UriTooLong", "The address is too long."),
    415: ("UnsupportedMediaType", "The body is not plain JSON with `Content-Type: application/json`."),
    429: ("TooManyRequests", "Too many calls at once: try again later."),
    431: ("HeadersTooLarge", "The headers are too many or too long."),
    500: ("InternalError", "A defect; it is in the service's log."),
    503: ("Unavailable", "Overloaded or not ready: try again later."),
    504: ("Timeout", "The answer took too long, and the call was given up."),
}
_CHALLENGE = {"WWW-Authenticate": {"description": "The kind of key.", "schema": {"type": "string", "const": "Bearer"}}}
_RETRY = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}
_HEADERS: Mapping[int, Mapping[str, Any]] = {401: _CHALLENGE, 429: _RETRY, 503: _RETRY}
_ID = {"X-Request-Id": {"description": "The call's id: the caller's, if it sent one.", "schema": {"type": "string"}}}
"""Of every answer; but not of a refusal before there is a call, which has one of the same statuses."""


@dataclass(frozen=True)
class Operation:
    """One path with its method. ``answer``: a model, or the media type of a text or of an object without a model."""

    path: str
    name: str
    summary: str
    answer: type[BaseModel] | str
    takes: type[BaseModel] | None = None
    example: object = None
    refused: frozenset[int] = frozenset()
    tag: str = SERVICE
    description: str = ""
    links: Mapping[str, object] | None = None

    @property
    def method(self) -> str:
        """What sends something is POST."""
        return "get" if self.takes is None else "post"


def operations(read: Settings, contract: Contract, example: Mapping[str, Any]) -> list[Operation]:
    """All that there is with these settings. ``example``: a valid transaction of ``contract``."""
    return [*_scoring(read, contract, dict(example)), *_documents(read)]


def _scoring(read: Settings, contract: Contract, example: dict[str, Any]) -> Iterator[Operation]:
    keyed = ({401} if read.api_keys else set()) | ({403} if read.tells_keys_apart else set())
    guarded = _CONNECTION | {503} | keyed
    posted = guarded | _BODY
    named, label = {contract.id_name: "tx-0001"}, {ID_COLUMN: "tx-0001", "is_fraud": True}
    yield Operation(
        PREDICT, "predict", "Score one transaction", Prediction, contract.transaction, example | named, posted, SCORING,
        f"Calls that arrive together are scored together. A body has at most {PREDICT_BYTES} bytes.",
        _feedback_link() if read.takes_feedback else None,
    )  # fmt: skip
    yield Operation(
        BATCH, "predict_batch", "Score many transactions", Predictions,
        batch_of(contract.transaction, read.max_batch_rows),
        {"transactions": [example, example | named]}, posted | {429}, SCORING,
        f"One transaction that is not valid refuses the call. A body has at most {read.max_body_bytes} bytes.",
    )  # fmt: skip
    if read.takes_feedback:
        yield Operation(
            FEEDBACK, "feedback", "Say what a transaction turned out to be", Label, Label,
            label, posted, SCORING, "A later label replaces an earlier one.",
        )  # fmt: skip
    card = WholeCard if read.api_keys else ShortCard
    yield Operation(MODEL, "get_model", "The model that scores", card, refused=guarded, tag=SCORING)


def _feedback_link() -> dict[str, object]:
    body = {ID_COLUMN: f"$response.body#/{ID_COLUMN}", "is_fraud": True}
    return {"label": {"operationId": "feedback", "requestBody": body, "description": "Its label, once it is known."}}


def _documents(read: Settings) -> Iterator[Operation]:
    busy = _CONNECTION | {503}
    metrics = busy | ({401} if read.metrics_keys else set())
    yield Operation("/livez", "is_alive", "Whether the process serves", _TEXT, refused=_CONNECTION)
    yield Operation("/healthz", "is_healthy", "The same as /livez", _TEXT, refused=_CONNECTION)
    yield Operation("/readyz", "is_ready", "Whether there is a model to score with", _TEXT, refused=busy)
    yield Operation(METRICS, "get_metrics", "Metrics in Prometheus' text format", _TEXT, refused=metrics)
    yield Operation("/docs.json", "get_openapi", "This document", _JSON, refused=busy)
    yield Operation("/schema.json", "get_schema", "What BentoML's own client reads", _JSON, refused=busy)
    yield Operation("/", "get_first_page", "The page that shows this document", _HTML, refused=busy)


def document(read: Settings, contract: Contract, example: Mapping[str, Any]) -> dict[str, Any]:
    """The whole document. ``example``: a valid transaction of ``contract``, which is shown as it is."""
    every = operations(read, contract, example)
    statuses = sorted(frozenset[int]().union(*(one.refused for one in every)))
    schemes = _schemes(read)
    components = {
        "schemas": _schemas(every),
        "responses": {_REFUSALS[status][0]: _refusal(status) for status in statuses},
    }
    paths: dict[str, Any] = {one.path: {one.method: _operation(one, bool(schemes))} for one in every}
    if schemes:
        components["securitySchemes"] = schemes
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": VERSION, "description": DESCRIPTION},
        "servers": [{"url": ".", "description": "this service"}],
        "tags": [{"name": name, "description": words} for name, words in _TAGS.items()],
        "paths": paths,
        "components": components,
    }


def _schemes(read: Settings) -> dict[str, Any]:
    """The kinds of keys that there are."""
    kinds = {_KEY: (read.api_keys, ""), _METRICS_KEY: (read.metrics_keys, " for metrics")}
    return {
        name: {"type": "http", "scheme": "bearer", "description": f"A key{use} that `python -m fraud key` made."}
        for name, (hashes, use) in kinds.items()
        if hashes
    }


def _schemas(every: Iterable[Operation]) -> dict[str, Any]:
    """Of each model that is taken or answered, and of those inside them."""
    taken = [(one.takes, "validation") for one in every if one.takes is not None]
    known = {model for model, _ in taken}
    answers = [one.answer for one in every if not isinstance(one.answer, str)]
    answered = [(model, "serialization") for model in [*answers, Error] if model not in known]
    models: Any = [*taken, *answered]
    _, schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")
    found: dict[str, Any] = schemas["$defs"]
    return found


def _operation(one: Operation, keys: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"operationId": one.name, "tags": [one.tag], "summary": one.summary}
    if one.description:
        told["description"] = one.description
    if keys:
        key = _METRICS_KEY if one.path == METRICS else _KEY
        kinds = [access.KINDS[one.path]] if 403 in one.refused else []
        told["security"] = [{key: kinds}] if 401 in one.refused else []
    if one.takes is not None:
        content = {"schema": _reference("schemas", one.takes.__name__), "example": one.example}
        told["requestBody"] = {"required": True, "content": {_JSON: content}}
    answer: dict[str, Any] = {"description": one.summary, "headers": _required(_ID), "content": _content(one.answer)}
    if one.links:
        answer["links"] = one.links
    refused = {str(status): _reference("responses", _REFUSALS[status][0]) for status in sorted(one.refused)}
    return {**told, "responses": {"200": answer, **refused}}


def _content(answer: type[BaseModel] | str) -> dict[str, Any]:
    if not isinstance(answer, str):
        return {_JSON: {"schema": _reference("schemas", answer.__name__)}}
    return {answer: {"schema": {"type": "object" if answer == _JSON else "string"}}}


def _refusal(status: int) -> dict[str, Any]:
    headers = _required(_HEADERS.get(status, {}))
    content = {_JSON: {"schema": _reference("schemas", Error.__name__)}}
    return {"description": _REFUSALS[status][1], "headers": headers | _ID, "content": content}


def _required(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"required": True, **header} for name, header in headers.items()}


def _reference(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}
