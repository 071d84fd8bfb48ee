"""This worker process: its settings, metrics and log, made when asked for, and how the parts of a call meet in it."""

import json
import logging
import resource
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLException
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from fraud import home, store
from fraud.errors import FraudError, ModelError, SettingsError
from fraud.keys import Guard
from fraud.rows import Packed, ScoredRow, unpack
from fraud.settings import Settings
from monitoring.log import Records, check_database, open_records
from monitoring.metrics import FraudMetrics
from serving import bento, refuse
from serving.batcher import Batcher
from serving.bounds import Bounds, Refusals
from serving.counts import BuiltinCounts
from serving.edge import OPEN, PREDICT, STATIC, App, Edge, refused, send_in_two, unauthorized
from serving.pages import FEEDBACK, MODEL
from serving.protocol import bounded
from serving.remembered import Remembered
from serving.shortcut import ShortCut
from serving.start.model import settle

LOG = logging.getLogger("bentoml.fraud")

_EXAMPLE = Path(__file__).parents[1] / "sample_transaction.json"
_OTHER_DESCRIPTORS = 96  # the log's database, metrics files, what BentoML opens
_STATIC = (f"{STATIC}swagger-ui.css", f"{STATIC}swagger-ui-bundle.js")


@cache
def settings() -> Settings:
    """Those of the environment; ends the process with one line when they cannot be used."""
    try:
        read = Settings.from_env()
        check_database(read)
        if read.require_keys and not read.api_keys:
            raise SettingsError("FRAUD_REQUIRE_KEYS is set and FRAUD_API_KEYS is not: `python -m fraud key` makes one")
        if read.api_keys and (problem := bento.missing(bento.EDGE) or bento.missing(bento.PROTOCOL)):
            raise SettingsError(f"FRAUD_API_KEYS is set, and keys cannot be checked with this BentoML: {problem}")
    except SettingsError as error:
        sys.exit(f"error: {error}")
    return read


@cache
def metrics() -> FraudMetrics:
    """The metrics of this worker process."""
    return FraudMetrics(settings().rate_window_seconds)


@cache
def records() -> Records | None:
    """The prediction log of this worker process; None without a database."""
    return open_records(settings(), metrics().records)


@cache
def example() -> dict[str, Any]:
    """The transaction that documents show."""
    transaction: dict[str, Any] = json.loads(_EXAMPLE.read_text())
    return transaction


def wrapping() -> dict[str, Any]:
    """What the service's decorator is to be told, so that calls come through the Edge."""
    try:
        return {"service_class": bento.service_class(wiring())}
    except LookupError as error:
        LOG.error("calls are neither bounded nor counted, errors come in BentoML's words: %s", error)
        return {}


def guard_start() -> None:
    """Have a start looked at where it begins: in the parent of the workers, before anything is wiped."""
    if problem := bento.missing(bento.START):
        LOG.warning("neither a second server nor a missing model is refused before the start: %s", problem)
    else:
        bento.before_start(_check_start)


def _check_start(bentoml_home: Path) -> None:
    """End this process with one line when it cannot be the server: its workers would end one after another."""
    try:
        home.claim(bentoml_home)
        LOG.info("%s", _introduction(settle(settings())))
    except FraudError as error:
        sys.exit(f"error: {error}")


def _database(url: str) -> str:
    """Where it is, without user, password and options."""
    from sqlalchemy import make_url

    address = make_url(url)
    return f"database {address.drivername} {address.database} {f'at {address.host}' if address.host else ''}".rstrip()


def _introduction(model: bentoml.Model) -> str:
    """What is served, to whom, and within which limits, in one line without secrets."""
    read = settings()
    try:
        threshold = f"threshold {store.read_manifest(model).threshold:g}"
    except ModelError as error:
        threshold = f"not sound: {error}"
    keys = len(read.key_hashes)
    return "; ".join(
        [
            f"serving {model.tag}, {threshold}, {read.workers} workers",
            f"{keys} keys" if keys else "no keys: whoever reaches the port may score",
            _database(read.database_url) if read.database_url else "no database",
            f"at most {read.max_latency_ms} ms, {read.max_batch_rows} rows a batch, {read.max_connections} connections",
        ]
    )


def check_guarded() -> None:
    """End this worker where keys are set and BentoML serves without the Edge: nobody's key would be looked at."""
    if settings().api_keys and wiring().edge is None:
        LOG.critical("FRAUD_API_KEYS is set, and this BentoML serves without what checks keys: nothing is served")
        raise SystemExit(1)


def supervise() -> None:
    """In the parent of the workers, before it starts them."""
    if problem := bento.missing(bento.REVIVAL):
        LOG.warning("a worker that dies is left to BentoML: %s", problem)
    else:
        bento.revive()


class Wiring:
    """What is done at the places that BentoML's server gives us: ``serving.bento.Hooks``."""

    edge: Edge | None = None

    def around(self, app: App, routes: Sequence[str]) -> App:
        """The Edge around BentoML's application."""
        guard = Guard(settings().key_hashes) if settings().api_keys else None
        known = frozenset([*routes, *OPEN, MODEL, FEEDBACK, *_STATIC])
        cors = bento.cors_options()
        self.edge = Edge(
            app if cors else Remembered(app), known, metrics().observe_call, guard, settings().max_batch_calls
        )
        if cors:
            self.edge.unauthorized = CORSMiddleware(unauthorized, **cors)
        if problem := bento.missing(bento.PROTOCOL):
            LOG.error("connections may send and wait without bounds: %s", problem)
        else:
            bento.hold_connections(partial(bounded, bounds=_bounds(), refusals=Refusals(metrics().refused)))
        if problem := bento.missing(bento.APPLICATION):
            LOG.warning("calls are batched by BentoML, and take its path: %s", problem)
        return self.edge

    def batcher(self, score: Callable[[list[Any]], Awaitable[Sequence[Any]]]) -> Callable[[Any], Awaitable[Any]]:
        """Our batcher on BentoML's path."""
        return _batcher(score).submit

    def refused(self, request: Request, error: Exception) -> Response:
        """The answer to a refused call, without a traceback in the log."""
        if isinstance(error, ClientDisconnect):
            return Response()  # to nobody; the Edge counts it
        if isinstance(error, refuse.RefusedError):
            return refused(request.scope, error)
        if isinstance(error, BentoMLException) and error.error_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            return refused(request.scope, refuse.not_json())
        raise error

    def started(self, factory: Any, app: Starlette) -> None:  # noqa: ANN401 - BentoML's factory of applications
        """Open the short cut; when that fails, all calls take BentoML's path."""
        edge = self.edge
        if edge is None:
            return
        try:
            if settings().short_cut:
                edge.took_long = metrics().took_long
            off = None if settings().short_cut else "FRAUD_SHORT_CUT is off"
            if against := off or bento.missing(bento.SHORT_CUT) or bento.reason_against(factory):
                LOG.info("/predict takes BentoML's path: %s", against)
            else:
                edge.quick = _short_cut(factory, app)
        except Exception:
            LOG.exception("/predict takes BentoML's path: the short cut could not be made")


@cache
def wiring() -> Wiring:
    """That of this worker process."""
    return Wiring()


def _bounds() -> Bounds:
    """Of a connection, and of how many there are: descriptors are needed for other things too."""
    read = settings()
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Bounds(
        head_bytes=read.max_header_bytes,
        headers=read.max_headers,
        head_seconds=read.header_timeout_seconds,
        idle_seconds=read.keep_alive_seconds,
        connections=min(read.max_connections, max(16, descriptors - _OTHER_DESCRIPTORS)),
    )


def _batcher(score: Callable[[list[Any]], Any]) -> Batcher[Any, Any]:
    return Batcher(
        score,
        max_latency_seconds=settings().max_latency_ms / 1e3,
        max_batch_size=settings().max_batch_size,
    )


def _short_cut(factory: Any, app: Starlette) -> ShortCut:  # noqa: ANN401
    service, counts = bento.instance(factory), BuiltinCounts(bento.request_series(factory, app, PREDICT))
    metrics().flush_with(counts.flush)

    def score_batch(rows: list[Packed]) -> list[ScoredRow]:
        counts.sized(len(rows))
        scored: list[ScoredRow] = service.score(unpack(rows))
        return scored

    async def score_one(row: Packed, _: bool) -> ScoredRow:
        scored: list[ScoredRow] = service.score(unpack([row]))
        return scored[0]

    problem, log = bento.missing(bento.ONE_WRITE), records()
    if problem:
        LOG.warning("answers are sent in two writes: %s", problem)
    return ShortCut(
        score=_batcher(score_batch).submit if settings().batching else score_one,
        counts=counts,
        observe=metrics().observe_call,
        log=log.log.add if log else None,
        send=send_in_two if problem else bento.send_in_one,
        server=f"BentoML Service/{factory.service.name}",
    )
