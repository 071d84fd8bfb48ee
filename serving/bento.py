"""Every private name of BentoML and of uvicorn that we lean on, and nothing else: the checklist of an upgrade.

``NAMES`` says which part of ours needs which of them; those of instances stand where they are used, and are tried when
the service starts. ``missing`` looks for them then; a part whose names are gone is left out, and what is slower serves
in its place (``serving.process`` says which and why in the log).
``tests/serving/test_bento.py`` names what an upgrade changed.
"""

import asyncio
import logging
import os
from asyncio import Event, Transport
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import wraps
from importlib import import_module
from pathlib import Path
from signal import SIGKILL, SIGTERM, getsignal
from typing import Any, NamedTuple, Protocol

from bentoml.exceptions import BentoMLException
from prometheus_client import Counter, Gauge, Histogram
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from fraud.errors import SettingsError
from monitoring.multiprocess import check_labels, lost
from monitoring.workers import held
from serving import refuse
from serving.edge import App, Headers, Message, Receive, Scope, Send, send_in_two

try:
    from uvicorn.protocols.http.flow_control import FlowControl
    from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle
except ImportError:  # ``missing`` says so, and answers are sent in two messages
    RequestResponseCycle = None  # type: ignore[assignment]

EDGE, PROTOCOL, APPLICATION = "edge", "protocol", "application"
SHORT_CUT, ONE_WRITE, REVIVAL, START, END = "short cut", "one write", "revival", "start", "end"
LOG_LINES, TRACING = "log lines", "tracing"
LOG = logging.getLogger("bentoml.fraud")
NAMES = {
    EDGE: ("_bentoml_sdk:Service.to_asgi", "_bentoml_sdk:Service.apis", "bentoml:service.__kwdefaults__.service_class"),
    PROTOCOL: (
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.data_received",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.connection_made",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.on_headers_complete",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.on_message_complete",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.on_response_complete",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.shutdown",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol._start_asgi_task",
        "httptools:HttpRequestParser.should_upgrade",
        "httptools:HttpParserUpgrade",
        "httptools:HttpParserError",
        "uvicorn.config:HTTP_PROTOCOLS.auto",
    ),
    APPLICATION: (
        "_bentoml_sdk:Service.inject_config",
        "_bentoml_impl.server.app:ServiceAppFactory.create_instance",
        "_bentoml_impl.server.app:ServiceAppFactory.api_endpoint",
        "_bentoml_impl.server.app:ServiceAppFactory.batch_infer",
        "_bentoml_impl.server.app:ServiceAppFactory.metrics",
        "_bentoml_impl.server.app:ServiceAppFactory.middlewares",
    ),
    SHORT_CUT: (
        "_bentoml_impl.server.app:ServiceAppFactory.adaptive_batch_size_hist",
        "_bentoml_impl.server.app:ServiceAppFactory.middlewares",
        "bentoml._internal.server.http.instruments:RunnerTrafficMetricsMiddleware._setup",
        "bentoml._internal.context:server_context.worker_index",
        "bentoml._internal.context:server_context.bento_name",
        "bentoml._internal.context:server_context.bento_version",
        "bentoml._internal.context:server_context.service_name",
        "bentoml._internal.configuration.containers:BentoMLContainer.config",
        "bentoml._internal.configuration.containers:BentoMLContainer.api_server_config",
        "bentoml._internal.configuration.containers:BentoMLContainer.http",
    ),
    ONE_WRITE: (
        "uvicorn.protocols.http.httptools_impl:RequestResponseCycle.send",
        "uvicorn.protocols.http.httptools_impl:STATUS_LINE",
        "uvicorn.protocols.http.flow_control:FlowControl",
    ),
    REVIVAL: (
        "bentoml._internal.utils.circus:Arbiter.manage_watchers",
        "bentoml._internal.utils.circus:Arbiter.initialize",
        "bentoml._internal.utils.circus:Arbiter.stop",
        "bentoml.serving:running_inside_container",
        "circus.exc:ConflictError",
        "circus.sighandler:SysHandler.handle_int",
        "circus.sighandler:SysHandler.quit",
    ),
    START: (
        "bentoml.serving:ensure_prometheus_dir",
        "bentoml._internal.configuration.containers:BentoMLContainer.bentoml_home",
    ),
    END: ("uvicorn:Server.handle_exit", "uvicorn.server:ServerState"),
    LOG_LINES: (
        "bentoml._internal.log:SERVER_LOGGING_CONFIG.handlers",
        "bentoml._internal.log:SERVER_LOGGING_CONFIG.loggers",
        "bentoml._internal.context:server_context.worker_index",
    ),
    TRACING: (
        "bentoml._internal.configuration.containers:BentoMLContainer.config",
        "bentoml._internal.configuration.containers:BentoMLContainer.tracer_provider",
    ),
}
"""Each as ``module:name.attribute``."""

LOOK_SECONDS = 2.0
"""How often the parent looks for dead workers. One that starts takes 2 to 4 seconds more."""

LAST_SECONDS = 10.0
"""How long a worker that was told twice to end may take: it still writes the prediction log, for up to 5
seconds, and sends spans, for up to 3."""

_HOLD_TRIES, _HOLD_SECONDS = 100, 0.01
"""How often, and how seldom, a scrape asks for the files of metrics while workers put some of them together."""
_NO_REVIVAL = "BENTOML_CONTAINERIZED"  # bentoml.serving.running_inside_container asks for it and nothing else does


def named(name: str) -> Any:  # noqa: ANN401
    """What ``module:name.attribute`` stands for. Raises LookupError when it is gone."""
    module, _, path = name.partition(":")
    try:
        value: Any = import_module(module)
        for part in path.split("."):
            value = value[part] if isinstance(value, dict) else getattr(value, part)
    except (ImportError, AttributeError, KeyError):
        raise LookupError(f"there is no {name} any more") from None
    return value


def missing(part: str) -> str | None:
    """Why ``part`` of ours cannot be had with this BentoML and uvicorn; None when all of its names are there."""
    try:
        for name in NAMES[part]:
            named(name)
        return _rehearse() if part == ONE_WRITE else None
    except LookupError as error:
        return str(error.args[0])


class Hooks(Protocol):
    """What is done at the places that BentoML's server gives us."""

    def around(self, app: App, routes: Sequence[str]) -> App:
        """The application of a worker, with ours around it; ``routes`` are those of the service's methods."""

    def batcher(self, score: Callable[[list[Any]], Awaitable[Sequence[Any]]]) -> Callable[[Any], Awaitable[Any]]:
        """What gathers calls of a batchable method for ``score``."""

    def refused(self, request: Request, error: Exception) -> Response:
        """The answer to a call that a method, or BentoML, refuses; raises ``error`` again where it has none."""

    def started(self, factory: Any, app: Starlette) -> None:  # noqa: ANN401 - a ServiceAppFactory
        """The service's instance is there."""


def service_class(hooks: Hooks) -> Any:  # noqa: ANN401 - a subclass of BentoML's Service
    """What ``bentoml.service`` is to make, so that ``hooks`` are called. Raises LookupError when it cannot be."""
    if problem := missing(EDGE):
        raise LookupError(problem)
    from _bentoml_sdk import Service

    class HookedService(Service):
        def to_asgi(self, is_main: bool = True) -> App:
            """Build the ASGI application of a worker."""
            if missing(APPLICATION):
                app = super().to_asgi(is_main)
            else:
                self.inject_config()
                app = _application_class(hooks)(self, is_main=is_main)()
            return hooks.around(app, [method.route for method in self.apis.values()])

    return HookedService


def _application_class(hooks: Hooks) -> Any:  # noqa: ANN401
    from _bentoml_impl.server.app import ServiceAppFactory

    class Application(ServiceAppFactory):
        """BentoML's, with our batcher, and without a traceback in the log for each refusal."""

        async def create_instance(self, app: Starlette) -> None:
            if isinstance(getattr(self, "dispatchers", None), dict):
                self.dispatchers = {name: _Dispatcher(hooks.batcher) for name in self.dispatchers}
            else:
                LOG.warning("calls are batched by BentoML: ServiceAppFactory has no dispatchers any more")
            await super().create_instance(app)
            hooks.started(self, app)

        async def api_endpoint(self, name: str, request: Request) -> Response:
            try:
                response: Response = await super().api_endpoint(name, request)
            except (BentoMLException, ClientDisconnect) as error:
                return hooks.refused(request, error)
            return response

        async def metrics(self, request: Request) -> Response:
            if lost():  # what others still have would pass for all there is
                return hooks.refused(request, refuse.metrics_gone())
            for _ in range(_HOLD_TRIES):
                with held() as is_held:
                    if is_held:
                        response: Response = await super().metrics(request)
                        return response
                await asyncio.sleep(_HOLD_SECONDS)
            return hooks.refused(request, refuse.metrics_held())

        @property
        def middlewares(self) -> list[Middleware]:
            return [*super().middlewares, Middleware(_Answering)]

    return Application


class _Answering:
    """Answers 500 when the application inside fails: BentoML's timeout would wait in vain, and lose the error."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answered = False

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception:
            if answered or scope["type"] != "http":
                raise
            LOG.exception("%s failed", scope["path"])
            await send_in_two(send, 500, [(b"content-length", b"0")], b"")


class _Dispatcher:
    """Stands where BentoML has a dispatcher for each method: called with what scores a batch, then with a row."""

    def __init__(self, make: Callable[..., Callable[[Any], Awaitable[Any]]]) -> None:
        self._make = make
        self._submit: Callable[[Any], Awaitable[Any]] | None = None

    def __call__(self, score: Callable[[list[Any]], Awaitable[Sequence[Any]]]) -> Callable[[Any], Awaitable[Any]]:
        if self._submit is None:  # a method scores alike, whichever call comes first
            self._submit = self._make(score)
        return self._submit


def instance(factory: Any) -> Any:  # noqa: ANN401
    """The service's instance, of the class that was decorated."""
    return factory._service_instance


def reason_against(factory: Any) -> str | None:  # noqa: ANN401
    """What is asked of BentoML's middleware that a way past it would leave out; None when it only counts."""
    container = named("bentoml._internal.configuration.containers:BentoMLContainer")
    reasons = {
        "metrics are off": not factory.enable_metrics,
        "tracing is on": bool(container.config.tracing.exporter_type.get()),
        "CORS is on": factory.enable_access_control,
        "traffic.max_concurrency is set": bool(factory.max_concurrency),
        "the access log is on": container.api_server_config.logging.access.enabled.get(),
        "trace ids are to be answered": container.http.response.trace_id.get(),
        "the service has middleware of its own": bool(factory.service.middlewares),
        "the service has a path prefix": bool(factory.service.path_prefix),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def cors_options() -> dict[str, Any] | None:
    """What BentoML's configuration says of calls from pages of other hosts; None when it allows none."""
    try:
        container = named("bentoml._internal.configuration.containers:BentoMLContainer")
    except LookupError:
        return None
    options: dict[str, Any] = container.access_control_options.get()
    return options if container.http.cors.enabled.get() else None


_EXPORTERS = {
    "otlp http": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "otlp grpc": "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
    "zipkin": "opentelemetry.exporter.zipkin.json",
    "jaeger thrift": "opentelemetry.exporter.jaeger.thrift",
    "jaeger grpc": "opentelemetry.exporter.jaeger.proto.grpc",
}
"""What BentoML imports for each kind and protocol of exporter; in_memory, which keeps every span, is for its tests."""


def check_tracing() -> None:
    """Raise SettingsError where BentoML's configuration asks for spans that its workers could not send: they would end
    one after another."""
    if problem := missing(TRACING):
        LOG.warning("whether spans can be sent is not looked at before the start: %s", problem)
        return
    tracing = named("bentoml._internal.configuration.containers:BentoMLContainer").config.tracing.get()
    kind = tracing["exporter_type"]
    if not kind:
        return
    protocol = (tracing.get(kind) or {}).get("protocol")
    asked = f"{kind} {protocol}" if kind in ("otlp", "jaeger") else kind
    try:
        import_module(_EXPORTERS[asked])
    except (KeyError, ImportError):
        raise SettingsError(
            f"tracing.exporter_type of BENTOML_CONFIG is {kind}{f' with protocol {protocol}' if protocol else ''}, and "
            "there is no exporter for it here: expected otlp with otlp.protocol http, see deploy/tracing.yaml"
        ) from None


def tracer_provider() -> Any:  # noqa: ANN401 - OpenTelemetry's
    """What makes the spans of this worker; None where they are sent nowhere."""
    if missing(TRACING):
        return None
    container = named("bentoml._internal.configuration.containers:BentoMLContainer")
    return container.tracer_provider.get() if container.config.tracing.exporter_type.get() else None


def server_handlers() -> list[logging.Handler]:
    """Those of the log that BentoML set up for a server, each of its loggers writing once; none in other commands."""
    config = named("bentoml._internal.log:SERVER_LOGGING_CONFIG")
    handlers = [handler for handler in logging.getLogger().handlers if handler.name in config["handlers"]]
    for logger in map(logging.getLogger, config["loggers"]) if handlers else ():
        if set(logger.handlers) & set(handlers):
            logger.propagate = False
    return handlers


def worker_number() -> int | None:
    """Which of the workers this process is, from 1; None in their parent."""
    number: int | None = named("bentoml._internal.context:server_context").worker_index
    return number


class RequestSeries(NamedTuple):
    """BentoML's own metrics of one endpoint. ``total`` and ``duration`` are called with an HTTP status."""

    in_progress: Gauge
    last_request: Gauge
    total: Callable[[int], Counter]
    duration: Callable[[int], Histogram]
    batch_size: Histogram


def request_series(factory: Any, app: Starlette, endpoint: str) -> RequestSeries:  # noqa: ANN401
    """Those that BentoML's middleware in ``app`` fills. Raises LookupError when it is not there."""
    layer: Any = app.middleware_stack
    middleware = named("bentoml._internal.server.http.instruments:RunnerTrafficMetricsMiddleware")
    while not isinstance(layer, middleware):
        layer = getattr(layer, "app", None)
        if layer is None:
            raise LookupError("BentoML's metrics middleware is not in the application")
    if not layer._is_setup:
        layer._setup()
    context = named("bentoml._internal.context:server_context")
    bento = {"service_name": context.bento_name, "service_version": context.bento_version}
    labels = {**bento, "runner_name": context.service_name}
    total, duration = layer.metrics_request_total, layer.metrics_request_duration
    for metric in (total, duration):  # made with the first call, as BentoML does: names are looked at now
        check_labels(metric, {*labels, "endpoint", "http_response_code"})
    method = {"method_name": endpoint.removeprefix("/"), "worker_index": context.worker_index}
    return RequestSeries(
        layer.metrics_request_in_progress.labels(endpoint=endpoint, **labels),
        layer.metrics_last_request_timestamp.labels(**labels),
        lambda status: total.labels(endpoint=endpoint, http_response_code=status, **labels),
        lambda status: duration.labels(endpoint=endpoint, http_response_code=status, **labels),
        factory.adaptive_batch_size_hist.labels(**{**bento, **method, "runner_name": factory.service.name}),
    )


def hold_connections(bounded: Callable[[Any, Any], Any]) -> None:
    """Have uvicorn serve each connection by what ``bounded`` makes of its own protocol class and its parser."""
    protocol = named("uvicorn.protocols.http.httptools_impl:HttpToolsProtocol")
    named("uvicorn.config:HTTP_PROTOCOLS")["auto"] = bounded(protocol, import_module("httptools"))


def before_start(check: Callable[[Path], None]) -> None:
    """Have ``check`` called with ``BENTOML_HOME`` by whatever starts a server, before it empties the metrics there.

    ``on_deployment`` comes after that. What builds a bento, and the workers, do not empty anything.
    """
    serving: Any = import_module("bentoml.serving")
    empty = serving.ensure_prometheus_dir

    @wraps(empty)
    def checked(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - handed on as they come
        container = named("bentoml._internal.configuration.containers:BentoMLContainer")
        check(Path(container.bentoml_home.get()))
        return empty(*args, **kwargs)

    serving.ensure_prometheus_dir = checked  # serve_http looks the name up when it is called


def revive(look: Callable[[Path, list[int]], None], stop_seconds: float, hurry: int) -> None:
    """Make this process, the parent of the workers, start one anew within seconds when it has died.

    BentoML looks after its workers every 10 seconds, and in a container not at all: it leaves that to the
    orchestrator. But no orchestrator restarts a container in which one of two workers has died.

    ``look`` is called before each look for the dead, with the folder of the metrics and the workers' process ids, and
    may kill some. One that is told to end is killed after ``stop_seconds``: BentoML waits for a day. Ctrl-C is handed
    on as the signal ``hurry``; whoever asks a second time is not made to wait.
    """
    circus: Any = import_module("bentoml._internal.utils.circus")
    os.environ.pop(_NO_REVIVAL, None)
    arbiter, conflict = circus.Arbiter, named("circus.exc:ConflictError")

    class Arbiter(arbiter):
        _told = False

        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on as they come
            super().__init__(*args, **{**kwargs, "check_delay": LOOK_SECONDS})

        def initialize(self) -> None:
            super().initialize()
            self.ctrl.sys_hdl.handle_int = self._interrupted
            for watcher in self.watchers:
                watcher.graceful_timeout = stop_seconds

        def manage_watchers(self) -> Any:  # noqa: ANN401 - a future
            for watcher in self.watchers:
                if folder := (watcher.env or {}).get("PROMETHEUS_MULTIPROC_DIR"):
                    look(Path(folder), [pid for pid, one in watcher.processes.items() if not one.stopping])
            return super().manage_watchers()

        def _interrupted(self) -> None:
            for watcher in self.watchers:
                watcher.stop_signal = hurry
            self.ctrl.sys_hdl.quit()

        def stop(self) -> Any:  # noqa: ANN401 - a future
            if self._told:
                self._signal(SIGTERM)
                self.loop.call_later(LAST_SECONDS, self._signal, SIGKILL)
                return None
            self._told = True
            return self._stop()

        def _stop(self) -> Any:  # noqa: ANN401 - a future
            try:
                return super().stop()
            except conflict:  # it is looking after its workers; circus would forget that it was told
                self.loop.call_later(0.1, self._stop)

        def _signal(self, number: int) -> None:
            for pid in [pid for watcher in self.watchers for pid in watcher.processes]:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    circus.Arbiter = Arbiter  # create_standalone_arbiter looks the name up when it is called


class Server:
    """uvicorn's that serves in this process, found by its handler of SIGTERM. Raises LookupError when it is not."""

    def __init__(self) -> None:
        if problem := missing(END):
            raise LookupError(problem)
        server: Any = getattr(getsignal(SIGTERM), "__self__", None)
        if not isinstance(server, named("uvicorn:Server")) or not hasattr(server, "server_state"):
            raise LookupError("uvicorn does not handle SIGTERM any more")
        self._server = server

    def connections(self) -> list[Any]:
        """Those there are."""
        return list(self._server.server_state.connections)

    def end_connections_with_answers(self) -> None:
        """Let no connection take another call after the one that is under way, or comes next."""
        self._server.config.http_protocol_class.leaving = True  # of ours; uvicorn's own looks at nothing
        for connection in self.connections():
            if connection.cycle is not None:  # the last one that came
                connection.cycle.keep_alive = False

    def end(self) -> None:
        """Take no more calls, and end when those under way are answered."""
        self._server.handle_exit(SIGTERM, None)

    def cut_off(self) -> None:
        """End, whatever is under way."""
        self.end()
        for connection in self.connections():
            connection.transport.abort()


def body_is_there(receive: Receive) -> bool:
    """Whether the whole body is, so that nothing has to be waited for; a timer costs 5 us."""
    return getattr(getattr(receive, "__self__", None), "more_body", True) is False


def is_alone(receive: Receive) -> bool:
    """Whether this worker has no other call under way, so that there is nothing to gather this one with."""
    cycle = getattr(receive, "__self__", None)
    protocol = getattr(getattr(cycle, "on_response", None), "__self__", None)
    return len(getattr(protocol, "tasks", ())) == 1


async def send_in_one(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """``send_in_two`` in one write: uvicorn makes two system calls, and the caller wakes twice.

    What its ``RequestResponseCycle.send`` does with the two messages is done at once here; where the connection is in
    any other state than the usual, or the server is another one, the two messages are sent.
    """
    cycle = getattr(send, "__self__", None)
    if type(cycle) is not RequestResponseCycle or not _is_usual(cycle):
        await send_in_two(send, status, headers, body)
        return
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = cycle.chunked_encoding = False
    lines = [b"%b: %b\r\n" % header for header in (*cycle.default_headers, *headers)]
    cycle.transport.write(b"".join((STATUS_LINE[status], *lines, b"\r\n", body)))
    cycle.message_event.set()
    cycle.on_response()


def _is_usual(cycle: Any) -> bool:  # noqa: ANN401 - a RequestResponseCycle
    """Whether nothing is to be waited for, closed or logged, and nothing was sent yet."""
    return (
        cycle.keep_alive
        and not cycle.disconnected
        and not cycle.response_started
        and not cycle.flow.write_paused
        and not (cycle.access_log and cycle.access_logger.isEnabledFor(logging.INFO))
    )


def _rehearse() -> str | None:
    """Why an answer must not be sent in one write: uvicorn would write other bytes, or leave the connection otherwise.

    Attributes of uvicorn's cycle cannot be looked for by name before there is one, so one is made and used.
    """
    try:
        if _rehearsed(send_in_one) != _rehearsed(send_in_two):
            return "uvicorn answers in another way now"
    except (AttributeError, KeyError, TypeError, StopIteration, RuntimeError) as error:
        return f"uvicorn's connection is another now: {error}"
    return None


def _rehearsed(send: Callable[[Send, int, Headers, bytes], Awaitable[None]]) -> tuple[Any, ...]:
    """The bytes and all that the next call on the connection could see."""
    transport, responses = _Transport(), list[int]()
    log = logging.getLogger("uvicorn.error")
    cycle: Any = RequestResponseCycle(
        scope={"type": "http", "method": "POST", "path": "/", "http_version": "1.1"},
        transport=transport,
        flow=FlowControl(transport),
        logger=log,
        access_logger=log,
        access_log=False,
        default_headers=[(b"date", b"today")],
        message_event=Event(),
        expect_100_continue=True,
        keep_alive=True,
        on_response=lambda: responses.append(1),
    )
    if vars(cycle)["more_body"] is not True or body_is_there(cycle.receive):
        raise AttributeError("it does not say whether a body is there")
    running: Any = send(cycle.send, 200, [(b"content-length", b"2")], b"{}")
    try:
        running.send(None)
    except StopIteration:  # it had nothing to wait for
        apart = ("transport", "flow", "message_event", "on_response")
        state = {name: value for name, value in vars(cycle).items() if name not in apart}
        return b"".join(transport.written), responses, cycle.message_event.is_set(), state
    raise RuntimeError("an answer waits for something")


class _Transport(Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))
