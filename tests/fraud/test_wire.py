"""An answer in one write is what uvicorn's two would be: the same bytes, and the same state of the connection."""

import asyncio
import inspect
import logging
import socket

import httpx
import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from fraud.wire import answer_at_once, body_is_there, is_alone

BODY = b'{"a":1}'
HEADERS = [(b"content-length", b"7"), (b"content-type", b"application/json"), (b"retry-after", b"1")]
DEFAULT = [(b"date", b"Wed, 25 Nov 2026 07:00:00 GMT"), (b"x-default", b"yes")]
LOGGER = logging.getLogger("tests.wire")


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


async def by_uvicorn(send, status, headers, body):
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


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
    mine, theirs = Connection(answer_at_once, status, **given), Connection(by_uvicorn, status, **given)
    assert mine.state == theirs.state, "uvicorn answers in another way now: see fraud/wire.py"
    assert len(mine.transport.writes) == writes


def test_an_access_log_is_written(caplog):
    """Where uvicorn's access log is on, it has the line."""
    with caplog.at_level(logging.INFO, LOGGER.name):
        Connection(answer_at_once, access_log=True)
    assert "POST /predict" in caplog.text


def test_another_server_is_sent_the_two_messages():
    """A ``send`` that is not uvicorn's."""
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(answer_at_once(send, 200, HEADERS, BODY))
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
        await answer_at_once(send, 200, HEADERS, BODY)

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
    assert seen == [True, True, False, False], "uvicorn keeps its tasks elsewhere now: see fraud/wire.py"


def test_a_call_of_another_server_is_not_alone():
    """Where nothing is known of other calls they are waited for."""

    async def receive():
        return {}

    assert not is_alone(receive)
    assert not body_is_there(receive)
