"""This worker process: its settings, metrics and log, made when asked for, and how the parts of a call meet in it."""

import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bentoml.exceptions import BentoMLException
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from fraud import home
from fraud.errors import FraudError, SettingsError
from fraud.rows import Decoded, ScoredRow
from fraud.settings import Settings
from monitoring import multiprocess
from monitoring.log import Records, check_database, open_records
from monitoring.metrics import FraudMetrics
from serving import access, bento, refuse
from serving.batcher import Batcher
from serving.connection.bounds import Bounds, Refusals
from serving.connection.door import Door
from serving.connection.protocol import bounded
from serving.counts import BuiltinCounts
from serving.decode import Decoder
from serving.edge import OPEN, PREDICT, STATIC, App, Edge, NoteRefused, forbidden, refused, send_in_two, unauthorized
from serving.few import Few, too_many
from serving.history import calls
from serving.pages import FEEDBACK, MODEL
from serving.remembered import Remembered
from serving.shortcut import ShortCut
from serving.start import transactions
from serving.start.introduction import introduction
from serving.start.model import settle
from serving.telemetry.refused_calls import RefusedCalls

if TYPE_CHECKING:
    from serving.history.online import Online

LOG = logging.getLogger("bentoml.fraud")

_STATIC = (f"{STATIC}swagger-ui.css", f"{STATIC}swagger-ui-bundle.js")


@cache
def settings() -> Settings:
    """Those of the environment; ends the process with one line when they cannot be used."""
    try:
        read = Settings.from_env()
        check_database(read)
        if read.require_keys and not read.api_keys:
            raise SettingsError("FRAUD_REQUIRE_KEYS is set and FRAUD_API_KEYS is not: `python -m fraud key` makes one")
        if (keys := read.asks_for_keys) and (problem := bento.missing(bento.EDGE) or bento.missing(bento.PROTOCOL)):
            raise SettingsError(f"{keys} is set, and keys cannot be checked with this BentoML: {problem}")
    except SettingsError as error:
        sys.exit(f"error: {error}")
    return read


@cache
def metrics() -> FraudMetrics:
    """The metrics of this worker process. One that is started anew may find that their folder was removed."""
    if place := multiprocess.folder():
        place.mkdir(parents=True, exist_ok=True)
    return FraudMetrics(settings().rate_window_seconds)


@cache
def records() -> Records | None:
    """The prediction log of this worker process; None without a database."""
    found = open_records(settings(), metrics().records)
    if found is not None:
        metrics().flush_with(found.log.publish)
    return found


@cache
def history() -> "Online | None":
    """What the keys of transactions did before; None where the served schema has no ``[[history]]``."""
    return calls.made(decoder().contract, settings(), metrics(), records())


@cache
def door() -> Door:
    """Where calls of ``/predict`` are refused that this worker could not answer in time."""
    made = Door(settings().max_latency_ms / 1e3)
    turned_away = made.news()
    metrics().flush_with(lambda: metrics().turned_away(turned_away()))
    return made


@cache
def decoder() -> Decoder:
    """What reads the transactions of the served model."""
    return Decoder(transactions.contract(settings()))


@cache
def example() -> dict[str, Any]:
    """The transaction that documents show."""
    return transactions.example(decoder().contract)


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
        bento.check_tracing()
        LOG.info("%s", introduction(settings(), settle(settings())))
    except FraudError as error:
        sys.exit(f"error: {error}")


def check_guarded() -> None:
    """End this worker where keys are set and BentoML serves without the Edge: nobody's key would be looked at."""
    if (keys := settings().asks_for_keys) and wiring().edge is None:
        LOG.critical("%s is set, and this BentoML serves without what checks keys: nothing is served", keys)
        raise SystemExit(1)


class Wiring:
    """What is done at the places that BentoML's server gives us: ``serving.bento.Hooks``."""

    edge: Edge | None = None

    def around(self, app: App, routes: Sequence[str]) -> App:
        """The Edge around BentoML's application."""
        known = frozenset([*routes, *OPEN, MODEL, FEEDBACK, *_STATIC])
        cors, guards = bento.cors_options(), access.guards(settings(), known)
        calls = settings().max_batch_calls
        batches = Few(app, calls, 2 * calls * settings().max_body_bytes)
        self.edge = Edge(app if cors else Remembered(app), known, metrics().observe_call, guards, batches)
        self.edge.knows = access.known_to(settings())
        access.watch(self.edge, metrics())
        if cors:
            self.edge.unauthorized = CORSMiddleware(unauthorized, **cors)
            self.edge.forbidden = CORSMiddleware(forbidden, **cors)
            batches.too_many = CORSMiddleware(too_many, **cors)
        self.edge.note_refused = RefusedCalls().note if settings().log_refused else None
        if problem := bento.missing(bento.PROTOCOL):
            LOG.error("connections may send and wait without bounds: %s", problem)
        else:
            bounds, refusals = Bounds.of(settings(), cors=bool(cors)), Refusals(metrics().refused)
            bento.hold_connections(partial(bounded, bounds=bounds, refusals=refusals, door=door()))
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
                edge.quick = _short_cut(factory, app, edge.note_refused)
        except Exception:
            LOG.exception("/predict takes BentoML's path: the short cut could not be made")


@cache
def wiring() -> Wiring:
    """That of this worker process."""
    return Wiring()


def _batcher(score: Callable[[list[Any]], Any]) -> Batcher[Any, Any]:
    read = settings()
    return Batcher(
        score,
        max_latency_seconds=read.max_latency_ms / 1e3,
        max_batch_size=read.max_batch_size,
        connections=lambda: door().connections,
        turned=door().learn,
        rested=door().rest,
    )


def _short_cut(factory: Any, app: Starlette, note_refused: NoteRefused | None) -> ShortCut:  # noqa: ANN401
    service, counts = bento.instance(factory), BuiltinCounts(bento.request_series(factory, app, PREDICT))
    turned_away = door().news()
    metrics().flush_with(lambda: counts.turned_away(turned_away()))
    metrics().flush_with(counts.flush)

    def score_batch(decoded: list[Decoded]) -> Sequence[ScoredRow] | Awaitable[Sequence[ScoredRow]]:
        counts.sized(len(decoded))
        return calls.scored(history(), decoded, service.score)

    async def score_one(decoded: Decoded, _: bool) -> ScoredRow:
        return (await calls.scored_soon(history(), [decoded], service.score))[0]

    problem, log = bento.missing(bento.ONE_WRITE), records()
    if problem:
        LOG.warning("answers are sent in two writes: %s", problem)
    return ShortCut(
        decode=decoder().decode_one,
        score=_batcher(score_batch).submit if settings().batching else score_one,
        counts=counts,
        observe=metrics().observe_call,
        log=log.log.add if log else None,
        send=send_in_two if problem else bento.send_in_one,
        server=f"BentoML Service/{factory.service.name}",
        refused=note_refused,
    )
