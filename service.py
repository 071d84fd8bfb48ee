"""The Bento service, in the order in which a request travels through it.

    Edge (keys) -> BentoML's metrics, timeout -> FraudApp.api_endpoint -> OneTransaction.from_http_request (bytes, row)
    -> BentoML's adaptive batcher -> FraudDetector.predict (rows to scores) -> OnePrediction (answer and log) -> Edge

Neither scikit-learn nor pandas nor boto3 is imported, and SQLAlchemy only where there is a database: the forest is flat
arrays, the model comes from the store.
"""

import gc
import json
import logging
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from functools import cache
from http import HTTPStatus
from itertools import repeat
from pathlib import Path
from typing import ClassVar, NamedTuple

import bentoml
import numpy as np
from _bentoml_impl.server.app import ServiceAppFactory
from _bentoml_sdk import Service
from _bentoml_sdk.io_models import IOMixin
from bentoml._internal.context import server_context
from bentoml.exceptions import ServiceUnavailable
from bentoml.models import BentoModel
from numpy.typing import NDArray
from pydantic import ConfigDict
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from fraud import store, workers
from fraud.answer import answer_many, answer_one
from fraud.decode import Packed, Rows, pack, unpack
from fraud.dispatch import PromptOptimizer
from fraud.docs import DOCS_PAGE
from fraud.edge import CALL, PREDICT, App, Edge
from fraud.errors import ModelError, SettingsError
from fraud.features import transform
from fraud.keys import Guard
from fraud.request import (
    PREDICT_BYTES,
    RefusedError,
    batch_model,
    parse_label,
    parse_many,
    parse_one,
)
from fraud.schema import COLUMNS, Label, Prediction, Predictions, Transaction
from fraud.settings import Settings
from fraud.shortcut import ShortCut, batcher, reason_against
from monitoring.builtin import BuiltinMetrics, middleware_of
from monitoring.log import Records, check_database, open_records
from monitoring.metrics import FraudMetrics

LOG = logging.getLogger("bentoml.fraud")

try:
    SETTINGS = Settings.from_env()
    check_database(SETTINGS)
except SettingsError as error:
    sys.exit(f"error: {error}")

SAMPLE = json.loads(Path(__file__).with_name("sample_transaction.json").read_text())
AMOUNT = COLUMNS.index("Amount")

# Python's own 5 ms would let the threads that count and log hold up a call for tens of milliseconds.
_SWITCH_SECONDS = 0.0005

_TransactionBatch = batch_model(SETTINGS.max_batch_rows)
_STATIC = ("swagger-ui.css", "swagger-ui-bundle.js")
_OWN_PATHS = ("/", "/model", "/metrics", "/livez", "/healthz", "/readyz", "/docs.json", "/schema.json")


@cache
def process_metrics() -> FraudMetrics:
    """The metrics of this worker process."""
    return FraudMetrics(SETTINGS.rate_window_seconds)


@cache
def process_records() -> Records | None:
    """The prediction log of this worker process; None without a database."""
    return open_records(SETTINGS, process_metrics().records)


class FraudApp(ServiceAppFactory):
    """BentoML's application, answering our refusals in our words and without a traceback in the log.

    Its batchers hold no call back, and once there is a service to score with, the Edge gets the short cut.
    """

    edge: Edge

    async def create_instance(self, app: Starlette) -> None:
        """Make the service, and the short cut to it; when that fails, all calls take BentoML's path."""
        for dispatcher in self.dispatchers.values():
            dispatcher.optimizer = PromptOptimizer(dispatcher.max_latency)
        await super().create_instance(app)
        against = reason_against(self) if SETTINGS.short_cut else "FRAUD_SHORT_CUT is off"
        if against:
            LOG.info("/predict takes BentoML's path: %s", against)
            return
        try:
            self.edge.quick = _short_cut(self, app)
        except Exception:
            LOG.exception("/predict takes BentoML's path: the short cut could not be made")

    async def api_endpoint(self, name: str, request: Request) -> Response:
        """Serve one call of an API method."""
        try:
            _check_media_type(request)
            response: Response = await super().api_endpoint(name, request)
        except RefusedError as refusal:
            return _refused(request, refusal)
        except ClientDisconnect:
            return Response()  # to nobody; the Edge counts it
        except ServiceUnavailable:
            return _refused(request, _OVERLOADED)
        return response


class FraudService(Service):
    """BentoML's service with the Edge around it."""

    def to_asgi(self, is_main: bool = True) -> App:
        """Build the ASGI application of a worker."""
        self.inject_config()
        known = frozenset(
            [*(method.route for method in self.apis.values()), *_OWN_PATHS, *(f"/static_content/{n}" for n in _STATIC)]
        )
        guard = Guard(SETTINGS.key_hashes) if SETTINGS.api_keys else None
        factory = FraudApp(self, is_main=is_main)
        factory.edge = Edge(factory(), known, process_metrics().observe_call, guard)
        return factory.edge


def _short_cut(factory: FraudApp, app: Starlette) -> ShortCut:
    service, metrics, records = factory._service_instance, process_metrics(), process_records()
    sizes = factory.adaptive_batch_size_hist.labels(
        runner_name=factory.service.name,
        worker_index=server_context.worker_index,
        method_name="predict",
        service_version=server_context.bento_version,
        service_name=server_context.bento_name,
    )
    counts = BuiltinMetrics(middleware_of(app), sizes, PREDICT)
    metrics.flush_with(counts.flush)

    def score(rows: Sequence[Packed]) -> list[Scored]:
        scored: list[Scored] = service._score(unpack(rows))
        return scored

    limits = {"max_latency_ms": SETTINGS.max_latency_ms, "max_batch_size": SETTINGS.max_batch_size}
    gathering = batcher(score, counts.sized, **limits) if SETTINGS.batching else None
    return ShortCut(
        at_once=gathering.at_once if gathering else lambda row: score([row])[0],
        gather=gathering.submit if gathering else None,
        counts=counts,
        observe=metrics.observe_call,
        log=records.log.add if records else None,
        server=f"BentoML Service/{factory.service.name}",
        overloaded=_OVERLOADED.body(),
    )


class Scored(NamedTuple):
    """What the model says of one row."""

    fraud_probability: float
    is_fraud: bool
    model_version: str


_NOT_READY = RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", "no model is ready; the service's log says why")
_NO_DATABASE = RefusedError(
    HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", "the database cannot be reached; the label was not kept, send it again"
)
_OVERLOADED = RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "overloaded", "the service is overloaded; try again shortly")
_rows: ContextVar[Rows] = ContextVar("rows")  # of the call at hand, from its request to its response


def _refused(request: Request, refusal: RefusedError) -> Response:
    """The answer to a refused call, which the Edge counts by its reason."""
    request.scope[CALL].reason = refusal.reason
    return JSONResponse(refusal.body(), status_code=refusal.status)


def _check_media_type(request: Request) -> None:
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" or "content-encoding" in request.headers:
        words = "expected plain JSON with Content-Type: application/json"
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not_json", words)


async def _body(request: Request, limit: int) -> bytes:
    """The request's bytes, at most ``limit`` of them. Raises RefusedError."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            words = f"the body is larger than {limit} bytes"
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", words)
    return bytes(body)


def _json(answer: str) -> Response:
    return Response(answer, media_type="application/json")


def _log(rows: Rows, scored: Sequence[Scored]) -> None:
    records = process_records()
    if records is not None:
        records.log.add_many(pack(rows.values), rows.ids, scored)


class OneTransaction(IOMixin, Transaction):
    """One card transaction: a flat JSON object."""

    model_config = ConfigDict(json_schema_extra={"example": SAMPLE})
    __root_input__: ClassVar[bool] = True

    @classmethod
    async def from_http_request(cls, request: Request, _serde: object) -> NDArray[np.float64]:
        """Bytes to a row ``(1, 30)``."""
        rows = parse_one(await _body(request, PREDICT_BYTES))
        _rows.set(rows)
        return rows.values


class OnePrediction(IOMixin, Prediction):
    """The answer to one transaction."""

    @classmethod
    async def to_http_response(cls, scored: Sequence[Scored], _serde: object) -> Response:
        """One row's score to JSON."""
        rows = _rows.get()
        _log(rows, scored)
        return _json(answer_one(scored[0], rows.ids[0]))


class ManyTransactions(IOMixin, _TransactionBatch):
    """Many card transactions."""

    model_config = ConfigDict(json_schema_extra={"example": {"transactions": [SAMPLE]}})
    __root_input__: ClassVar[bool] = True

    @classmethod
    async def from_http_request(cls, request: Request, _serde: object) -> NDArray[np.float64]:
        """Bytes to rows ``(n, 30)``."""
        body = await _body(request, SETTINGS.max_body_bytes)
        rows = parse_many(body, _TransactionBatch, SETTINGS.max_batch_rows)
        _rows.set(rows)
        return rows.values


class ManyPredictions(IOMixin, Predictions):
    """The answers, in the order of the transactions."""

    @classmethod
    async def to_http_response(cls, scored: Sequence[Scored], _serde: object) -> Response:
        """All rows' scores to JSON."""
        rows = _rows.get()
        _log(rows, scored)
        return _json(answer_many(scored, rows.ids))


class OneLabel(IOMixin, Label):
    """What a transaction turned out to be."""

    model_config = ConfigDict(json_schema_extra={"example": {"transaction_id": "tx-0001", "is_fraud": True}})
    __root_input__: ClassVar[bool] = True

    @classmethod
    async def from_http_request(cls, request: Request, _serde: object) -> Label:
        """Bytes to a label."""
        return parse_label(await _body(request, PREDICT_BYTES))


class LabelStored(IOMixin, Label):
    """The label as it is kept."""

    @classmethod
    async def to_http_response(cls, label: Label, _serde: object) -> Response:
        """The label to JSON."""
        return JSONResponse(label.model_dump())


# Without a distro BentoML installs no compilers and no git; requirements are in bentofile.yaml, pinned and hashed.
IMAGE = bentoml.images.Image(
    base_image="python:3.11-slim",
    python_version="3.11",
    distro="none",
    lock_python_packages=False,
    commands=[
        "pip install --no-cache-dir --root-user-action=ignore uv==0.13.9",  # else BentoML takes the newest of the day
        # what BentoML would make at start, which a read-only root refuses; metrics then go to /tmp
        "cd $BENTOML_HOME && mkdir bentos models envs tmp && chown bentoml:bentoml bentos models envs tmp",
    ],
)


@bentoml.service(
    name="fraud_detector",
    image=IMAGE,
    service_class=FraudService,
    workers=SETTINGS.workers,
    traffic={"timeout": SETTINGS.request_timeout_seconds},
    logging={"access": {"enabled": False}},
)
class FraudDetector:
    """Scores card transactions with a Random Forest."""

    model = BentoModel(SETTINGS.model)

    @bentoml.on_deployment
    @staticmethod
    def supervise() -> None:
        """In the parent of the workers, before it starts them."""
        workers.revive()

    def __init__(self) -> None:
        """Load the model. One that is damaged or not exact is not served: the worker stays not ready and says why."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        self.metrics = process_metrics()
        self.served: store.Served | None = None
        try:
            self.served = store.open_served(self.model)
        except ModelError as error:
            LOG.error("not ready: %s", error)

    @bentoml.on_startup
    def start(self) -> None:
        """Start to publish metrics, and to log where there is a database."""
        if self.served is not None:
            self.metrics.describe_model(self.served.manifest)
        else:
            self.metrics.refuse_model()
        self.metrics.start(SETTINGS.workers)
        if records := process_records():
            records.start()
        # what was made until now stays: going through it again at each full collection would take 60 ms
        gc.collect()
        gc.freeze()

    @bentoml.on_shutdown
    def stop(self) -> None:
        """Write and publish what is left."""
        if records := process_records():
            records.close()
        self.metrics.close()

    async def __is_ready__(self) -> bool:
        """Whether ``/readyz`` answers 200."""
        return self.served is not None

    @bentoml.api(
        input_spec=OneTransaction,
        output_spec=OnePrediction,
        batchable=SETTINGS.batching,
        max_batch_size=SETTINGS.max_batch_size,
        max_latency_ms=SETTINGS.max_latency_ms,
    )
    async def predict(self, rows: NDArray[np.float64], /) -> list[Scored]:
        """Score one transaction; calls that arrive together are scored together."""
        return self._score(rows)

    @bentoml.api(input_spec=ManyTransactions, output_spec=ManyPredictions)
    def predict_batch(self, rows: NDArray[np.float64], /) -> list[Scored]:
        """Score many transactions in one call; one that is not valid refuses the call."""
        return self._score(rows)

    if SETTINGS.takes_feedback:  # labels train the next model: nobody without a key may write them

        @bentoml.api(input_spec=OneLabel, output_spec=LabelStored)
        def feedback(self, label: Label, /) -> Label:
            """Take what a transaction turned out to be; a later label replaces an earlier one."""
            records = process_records()
            if records is None or not records.put_label(label.transaction_id, is_fraud=label.is_fraud):
                raise _NO_DATABASE
            return label

    def _score(self, rows: NDArray[np.float64]) -> list[Scored]:
        if self.served is None:
            raise _NOT_READY
        features = transform(rows)
        scores = self.served.forest.score(features)
        flagged = scores >= self.served.manifest.threshold
        self.metrics.observe_scores(features, scores, flagged, rows[:, AMOUNT])
        return list(map(Scored, scores.tolist(), flagged.tolist(), repeat(self.served.version)))


async def _docs(_: Request) -> Response:
    return HTMLResponse(DOCS_PAGE)


async def _model_card(request: Request) -> Response:
    served = bentoml.get_current_service().served
    if served is None:
        return _refused(request, _NOT_READY)
    card = served.manifest.model_dump(mode="json", exclude={"profile", "files"})
    return JSONResponse({**card, "engine": served.forest.engine})


FraudDetector.mount_asgi_app(Starlette(routes=[Route("/", _docs), Route("/model", _model_card)]), path="/")
