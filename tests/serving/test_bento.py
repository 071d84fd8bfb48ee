"""Private names of BentoML and uvicorn: there, or missed at the start; and what is done by them is what they would do.

That dead workers come back, and that calls are answered, is shown in tests/e2e.
"""

import asyncio
import inspect
import logging
import re
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest
import uvicorn
from _bentoml_impl.server.app import ServiceAppFactory
from _bentoml_impl.server.serving import serve_http
from bentoml import serving
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.utils import circus
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serving import bento
from serving.bento import body_is_there, is_alone, reason_against, send_in_one
from serving.edge import send_in_two


@pytest.mark.parametrize(("part", "name"), [(part, name) for part, names in bento.NAMES.items() for name in names])
def test_every_name_is_there(part, name):
    """After an upgrade: which name moved, and which part of ours needs it."""
    try:
        bento.named(name)
    except LookupError as error:
        pytest.fail(f"{part}: {error}")


@pytest.mark.parametrize("part", bento.NAMES)
def test_no_part_is_missing(part):
    """With the BentoML and uvicorn that are pinned."""
    assert bento.missing(part) is None


@pytest.mark.parametrize(
    "name",
    ["nothing:x", "bentoml._internal.nothing:x", "bentoml:nothing", "bentoml:service.__kwdefaults__.nothing"],
)
def test_a_name_that_is_gone_is_said(monkeypatch, name):
    """A module, an attribute, an argument: the reason names it, and nothing is raised."""
    monkeypatch.setitem(bento.NAMES, bento.EDGE, ("bentoml:service", name))
    assert bento.missing(bento.EDGE) == f"there is no {name} any more"


def test_no_other_module_names_what_is_private():
    """An upgrade is one file's business; tests and benchmarks aside."""
    private = re.compile(r"^\s*(?:from|import) (?:_bentoml|bentoml\._internal|uvicorn\.protocols|circus)", re.M)
    root = Path(__file__).parents[2]
    files = [
        root / "service.py",
        *(f for room in ("fraud", "serving", "training", "monitoring") for f in (root / room).rglob("*.py")),
    ]
    assert [str(f.relative_to(root)) for f in files if private.search(f.read_text())] == ["serving/bento.py"]


def test_what_a_way_past_the_middleware_leaves_out_is_known():
    """After an upgrade of BentoML: is what reason_against asks for still all that the middleware does?"""
    source = inspect.getsource(ServiceAppFactory.middlewares.fget)
    named = {word.strip(",(") for line in source.splitlines() for word in line.split() if "Middleware" in word}
    known = {
        "RunnerTrafficMetricsMiddleware",
        "OpenTelemetryMiddleware",
        "AccessLogMiddleware",
        "MaxConcurrencyMiddleware",
        "CORSMiddleware",
        "ContextMiddleware",
    }
    assert {name for name in named if name.isidentifier()} - {"Middleware"} <= known | {"TimeoutMiddleware"}


def test_where_the_application_reaches_into_bentomls():
    """Names of instances cannot be looked for before there is one."""
    source = inspect.getsource(ServiceAppFactory.__init__)
    assert "self._service_instance" in source
    assert "self.dispatchers[name]" in source
    source = inspect.getsource(ServiceAppFactory.batch_infer)
    assert "await self.dispatchers[name](" in source, "a dispatcher is called in another way: see _Dispatcher"
    assert ")(value)" in source


def test_a_start_looks_its_emptying_up_before_all_else():
    """``before_start`` stands in its place; models are looked for, and workers started, after it."""
    source = inspect.getsource(serve_http)
    found = [source.index(words) for words in ("import ensure_prometheus_dir", "ensure_prometheus_dir()")]
    assert found == sorted(found)
    later = ("load(bento_identifier", "server_on_deployment(", "create_watcher(", "create_standalone_arbiter(")
    assert found[-1] < min(source.index(words) for words in later)


def test_a_start_is_looked_at_before_anything_is_emptied(monkeypatch, tmp_path):
    """The check is given the home; what it refuses leaves the metrics there, and what it passes goes on as before."""
    (tmp_path / "a.db").write_text("counts")
    monkeypatch.setattr(serving, "ensure_prometheus_dir", serving.ensure_prometheus_dir)
    asked = []

    def refuse(home):
        asked.append(home)
        sys.exit("error: no")

    bento.before_start(refuse)
    with pytest.raises(SystemExit):
        serving.ensure_prometheus_dir(str(tmp_path))
    assert asked == [Path(BentoMLContainer.bentoml_home.get())]
    assert (tmp_path / "a.db").exists()
    monkeypatch.undo()
    monkeypatch.setattr(serving, "ensure_prometheus_dir", serving.ensure_prometheus_dir)
    bento.before_start(asked.append)
    assert serving.ensure_prometheus_dir(str(tmp_path)) == str(tmp_path)
    assert len(asked) == 2
    assert not (tmp_path / "a.db").exists()


def test_uvicorn_that_answers_otherwise_is_noticed(monkeypatch):
    """The rehearsal compares every byte and flag, and does not trip over names that are gone."""
    assert bento._rehearse() is None
    monkeypatch.setitem(bento.STATUS_LINE, 200, b"HTTP/2 200 OK\r\n")

    async def other(send, status, headers, body):
        await send_in_two(send, status, [*headers, (b"x", b"y")], body)

    monkeypatch.setattr(bento, "send_in_two", other)
    assert bento._rehearse() == "uvicorn answers in another way now"
    monkeypatch.setattr(bento.RequestResponseCycle, "__init__", lambda _: None)
    assert bento.missing(bento.ONE_WRITE).startswith("uvicorn's connection is another now")


BODY = b'{"a":1}'
HEADERS = [(b"content-length", b"7"), (b"content-type", b"application/json"), (b"retry-after", b"1")]
DEFAULT = [(b"date", b"Wed, 25 Nov 2026 07:00:00 GMT"), (b"x-default", b"yes")]
LOGGER = logging.getLogger("tests.bento")


class Transport:
    def __init__(self):
        self.writes, self.closed, self.read = [], False, True

    def write(self, data):
        self.writes.append(bytes(data))

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed

    def resume_reading(self):
        self.read = True


class Connection:
    """A connection of uvicorn's with one call under way, over which ``answer`` sends."""

    def __init__(self, answer, status=200, access_log=False, logger=LOGGER, before=lambda _: None, **options):
        self.transport, self.responses, self.answer, self.status = Transport(), [], answer, status
        given = {"expect_100_continue": False, "keep_alive": True, **options}
        scope = {"type": "http", "method": "POST", "path": "/predict", "http_version": "1.1", "client": None}
        self.cycle = RequestResponseCycle(
            scope | {"query_string": b"", "root_path": "", "raw_path": b"/predict"},
            transport=self.transport,
            flow=FlowControl(self.transport),
            logger=LOGGER,
            access_logger=logger,
            access_log=access_log,
            default_headers=DEFAULT,
            message_event=asyncio.Event(),
            on_response=lambda: self.responses.append(1),
            **given,
        )
        before(self.cycle)
        asyncio.run(asyncio.wait_for(self._run(), 2))

    async def _run(self):
        await asyncio.gather(self._resume(), self.answer(self.cycle.send, self.status, HEADERS, BODY))

    async def _resume(self):
        await asyncio.sleep(0)
        self.cycle.flow.resume_writing()

    @property
    def state(self):
        """All that the next call on the connection can see."""
        told = ("on_response", "transport", "flow", "message_event")
        rest = {name: value for name, value in vars(self.cycle).items() if name not in told}
        flags = (self.transport.closed, self.cycle.message_event.is_set(), len(self.responses))
        return b"".join(self.transport.writes), flags, rest


def gone(cycle):
    cycle.disconnected = True


def full(cycle):
    cycle.flow.pause_writing()


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize(
    ("given", "writes"),
    [
        ({}, 1),
        ({"expect_100_continue": True}, 1),
        ({"keep_alive": False}, 2),
        ({"before": gone}, 0),
        ({"before": full}, 2),
        ({"access_log": True}, 1),
    ],
    ids=["usual", "expects 100", "closes", "hung up", "full buffer", "access log that writes nothing"],
)
def test_bytes_and_state_are_uvicorns(status, given, writes):
    """In one write where that may be, by uvicorn's own two where not; every flag is as uvicorn leaves it."""
    mine, theirs = Connection(send_in_one, status, **given), Connection(send_in_two, status, **given)
    assert mine.state == theirs.state, "uvicorn answers in another way now: see serving/bento.py"
    assert len(mine.transport.writes) == writes


def test_an_access_log_is_written(caplog):
    """Where uvicorn's access log is on, it has the line."""
    with caplog.at_level(logging.INFO, LOGGER.name):
        Connection(send_in_one, access_log=True)
    assert "POST /predict" in caplog.text


def test_another_server_is_sent_the_two_messages():
    """A ``send`` that is not uvicorn's."""
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(send_in_one(send, 200, HEADERS, BODY))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["headers"] == HEADERS
    assert sent[1]["body"] == BODY


@pytest.mark.parametrize("waits", [True, False])
def test_a_body_that_is_there_needs_no_timer(waits):
    """uvicorn says so in ``more_body``; after an upgrade, if it does not, a timer is started for every call."""
    cycle = RequestResponseCycle.__new__(RequestResponseCycle)
    cycle.more_body = waits
    assert body_is_there(cycle.receive) is not waits
    noted = inspect.getsource(HttpToolsProtocol.on_message_complete)
    assert "self.cycle.more_body = False" in noted, "uvicorn notes elsewhere that a body is whole"


def test_a_call_is_alone_until_another_is_under_way():
    """Over a real uvicorn: one call, then three of which two wait, told by those that were under way meanwhile."""
    seen, free = [], asyncio.Event()

    async def app(scope, receive, send):
        seen.append(is_alone(receive))
        if scope["path"] == "/wait":
            await free.wait()
        await send_in_one(send, 200, HEADERS, BODY)

    async def ask(client, path):
        return (await client.post(path)).content

    async def run():
        config = uvicorn.Config(app, http="httptools", lifespan="off", log_config=None)
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            server = uvicorn.Server(config)
            served = asyncio.create_task(server.serve(sockets=[listening]))
            address = f"http://127.0.0.1:{listening.getsockname()[1]}"
            async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
                alone = await ask(client, "/")
                await asyncio.sleep(0)
                waiting = []
                for calls in (2, 3):
                    waiting.append(asyncio.create_task(ask(client, "/wait")))
                    while len(seen) < calls:
                        await asyncio.sleep(0.01)
                among = await ask(client, "/")
                free.set()
                answers = [alone, among, *await asyncio.gather(*waiting)]
            server.should_exit = True
            await served
        return answers

    assert asyncio.run(run()) == [BODY] * 4
    assert seen == [True, True, False, False], "uvicorn keeps its tasks elsewhere now: see serving/bento.py"


def test_a_call_of_another_server_is_not_alone():
    """Where nothing is known of other calls they are waited for."""

    async def receive():
        return {}

    assert not is_alone(receive)
    assert not body_is_there(receive)


class Service:
    name, middlewares, path_prefix = "fraud_detector", [], ""


class Factory:
    """What the short cut looks at of BentoML's factory, as it is by default."""

    enable_metrics, enable_access_control, max_concurrency, service = True, False, None, Service


def changed(**attributes):
    return type("Changed", (Factory,), attributes)


@pytest.fixture
def quiet():
    """The access log is off, as service.py has it."""
    setting = BentoMLContainer.api_server_config.logging.access.enabled
    before = setting.get()
    setting.set(False)
    yield
    setting.set(before)


def test_by_default_nothing_speaks_against_it(quiet):
    """With the settings that service.py gives."""
    assert reason_against(Factory) is None


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (changed(enable_metrics=False), "metrics"),
        (changed(enable_access_control=True), "CORS"),
        (changed(max_concurrency=4), "max_concurrency"),
        (changed(service=type("S", (Service,), {"middlewares": [1]})), "middleware"),
        (changed(service=type("S", (Service,), {"path_prefix": "/x"})), "prefix"),
    ],
)
def test_what_it_would_leave_out_speaks_against_it(quiet, factory, words):
    """Whatever BentoML's middleware is asked to do beyond counting."""
    assert words in reason_against(factory)


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        (BentoMLContainer.config.tracing.exporter_type, "otlp", "tracing"),
        (BentoMLContainer.api_server_config.logging.access.enabled, True, "access log"),
        (BentoMLContainer.http.response.trace_id, True, "trace ids"),
    ],
)
def test_bentomls_configuration_speaks_against_it(quiet, setting, value, words):
    """Read from where BentoML's own middleware reads it."""
    before = setting.get()
    setting.set(value)
    try:
        assert words in reason_against(Factory)
    finally:
        setting.set(before)


@pytest.fixture
def in_a_container(monkeypatch):
    monkeypatch.setenv("BENTOML_CONTAINERIZED", "true")
    monkeypatch.setattr(circus, "Arbiter", circus.Arbiter)  # put back after the test
    serving.running_inside_container.cache_clear()
    yield
    serving.running_inside_container.cache_clear()


def respawns():
    serving.running_inside_container.cache_clear()
    return serving.create_watcher(name="service", args=[]).respawn


def test_workers_of_a_container_are_started_anew(in_a_container):
    """Without our help they are not."""
    assert not respawns()
    bento.revive(print, 1, 1)
    assert respawns()


def test_the_parent_looks_often(in_a_container, monkeypatch):
    """Whatever delay BentoML asks for, the arbiter that it makes is ours."""
    given = {}
    monkeypatch.setattr(circus._Arbiter, "__init__", lambda *_, **kwargs: given.update(kwargs))
    bento.revive(print, 1, 1)
    circus.Arbiter([], endpoint="tcp://127.0.0.1:1", check_delay=10)
    assert given == {"endpoint": "tcp://127.0.0.1:1", "check_delay": bento.LOOK_SECONDS}
    assert "Arbiter" in circus.create_standalone_arbiter.__code__.co_names


# --- how a worker ends


def test_uvicorn_is_found_by_its_handler():
    """And told to end as by SIGTERM; with connections as they are."""
    server = uvicorn.Server(uvicorn.Config(lambda: None))
    before = signal.signal(signal.SIGTERM, server.handle_exit)
    try:
        found = bento.Server()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert found.connections() == []
    found.end()
    assert server.should_exit


def test_another_handler_is_not_taken_for_uvicorns():
    """The worker then ends as BentoML has it, and the log says why."""
    with pytest.raises(LookupError, match="uvicorn does not handle SIGTERM"):
        bento.Server()


# --- what fails inside


def through_answering(app):
    """What is sent to the caller of an application that fails."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    asyncio.run(bento._Answering(app)({"type": "http", "path": "/metrics"}, receive, send))
    return sent


def test_what_fails_is_answered_at_once(caplog):
    """BentoML's timeout waits for an answer that does not come, for 30 seconds, and then gives none."""

    async def fails(scope, receive, send):
        raise ValueError("the folder is gone")

    assert [message.get("status") for message in through_answering(fails)] == [500, None]
    assert "/metrics failed" in caplog.text
    assert "the folder is gone" in caplog.text


def test_what_fails_in_the_middle_of_an_answer_is_not_answered_twice():
    """Then only the end of the connection can say so."""

    async def fails(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError

    with pytest.raises(ValueError):
        through_answering(fails)
