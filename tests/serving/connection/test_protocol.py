"""What a connection may send before it is a call, and for how long: uvicorn's protocol on a wire in memory."""

import asyncio
import json

import httptools
import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from serving.connection import closing, door, protocol, turnable
from serving.connection.bounds import Bounds, Refusals, without_upgrade
from serving.connection.door import Door
from serving.connection.protocol import bounded
from serving.connection.turnable import BUSY, BUSY_LAST

HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


class Transport(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.written, self.closed, self.ended, self.connection = b"", False, False, None

    def write(self, data):
        self.written += bytes(data)

    def close(self):
        if not self.closed and self.connection is not None:
            asyncio.get_running_loop().call_soon(self.connection.connection_lost, None)
        self.closed = True

    abort = close

    unsent = 0

    def get_write_buffer_size(self):
        return self.unsent

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.ended = True

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        pass

    resume_reading = pause_reading


async def app(scope, receive, send):
    """Answers with the path, the body, and how many headers came."""
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    told = json.dumps([scope["path"], body.decode(), len(scope["headers"])]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(told))]})
    await send({"type": "http.response.body", "body": told})


class Server:
    """Connections of one worker."""

    def __init__(self, **bounds):
        self.counted, self.door = [], Door(1.0)
        self.kind = bounded(HttpToolsProtocol, httptools, Bounds(**bounds), Refusals(self.counted.append), self.door)
        self.config = uvicorn.Config(app, lifespan="off", log_config=None)
        self.config.load()
        self.state = ServerState()

    def connect(self):
        connection, transport = self.kind(self.config, self.state, {}, asyncio.get_running_loop()), Transport()
        transport.connection = connection
        connection.connection_made(transport)
        return connection, transport


async def talk(server, parts):
    connection, transport = server.connect()
    for part in parts:
        if transport.closed or transport.ended:
            break
        connection.data_received(part)
        await turns(20)
    await turns(400)
    return transport


async def turns(number):
    for _ in range(number):
        await asyncio.sleep(0)


def said(*parts, **bounds):
    """What is answered to parts of a connection, whether it was closed, and what was counted."""
    server = Server(**bounds)
    transport = asyncio.run(talk(server, parts))
    return transport.written, transport.closed or transport.ended, server.counted


def answers(written):
    """Bodies of the 200s in it."""
    return [json.loads(part.partition(b"\r\n\r\n")[2]) for part in written.split(b"HTTP/1.1 200 OK\r\n")[1:]]


def in_slices(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


OFFERED = {
    "content-length": HEAD + OFFER + b"Content-Length: 5\r\n\r\nhello",
    "chunked": HEAD + OFFER + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "a web socket": HEAD + b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello",
    "another protocol": HEAD + b"Connection: keep-alive, Upgrade\r\nUpgrade: TLS/1.0\r\nContent-Length: 5\r\n\r\nhello",
}


@pytest.mark.parametrize("size", [1, 7, 50, 10_000])
@pytest.mark.parametrize("call", OFFERED.values(), ids=OFFERED)
def test_an_offer_to_upgrade_is_left_aside(call, size):
    """The body is read, whatever is offered and however it arrives (RFC 9110, 7.8); two calls on the connection."""
    written, closed, counted = said(*in_slices(call * 2, size))
    assert [(path, body) for path, body, _ in answers(written)] == [("/predict", "hello")] * 2
    assert not closed
    assert counted == []


def test_an_offer_takes_nothing_else_with_it():
    """Only the offer goes: what else the caller said of the connection stays."""
    headers = [
        (b"host", b"x"),
        (b"connection", b"keep-alive, Upgrade"),
        (b"upgrade", b"h2c"),
        (b"expect", b"100-continue"),
    ]
    kept = b"POST /a HTTP/1.1\r\nhost: x\r\nconnection: keep-alive\r\nexpect: 100-continue\r\n\r\n"
    assert without_upgrade(b"POST", b"/a", "1.1", headers) == kept


REFUSED = {
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400, "malformed"),
    "two Hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "malformed"),
    "two types": (HEAD + b"Content-Type: a\r\nContent-Type: a\r\n\r\n", 400, "malformed"),
    "two encodings": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 400, "malformed"),
    "an unknown encoding": (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 400, "malformed"),
    "length and encoding": (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "malformed"),
    "a proxy's call": (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "malformed"),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00", 400, "malformed"),
    "an endless path": (b"GET /" + b"a" * 50_000, 414, "too_large"),
    "an endless header": (HEAD + b"X: " + b"a" * 50_000, 431, "too_large"),
    "an endless name": (HEAD + b"a" * 50_000, 431, "too_large"),
    "many headers": (HEAD + b"a:b\r\n" * 5_000, 431, "too_large"),
    "many headers and an end": (HEAD + b"a:b\r\n" * 60 + b"\r\n", 431, "too_large"),
    "an endless trailer": (CHUNKED + b"1\r\na\r\n0\r\nX: " + b"a" * 50_000, 431, "too_large"),
    "many trailers": (CHUNKED + b"1\r\na\r\n0\r\n" + b"a:b\r\n" * 5_000, 431, "too_large"),
    "an endless extension": (CHUNKED + b"1;" + b"a" * 50_000, 431, "too_large"),
}


@pytest.mark.parametrize("size", [100, 5_000, 100_000])
@pytest.mark.parametrize(("sent", "status", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_beyond_a_bound_is_refused(sent, status, reason, size):
    """In our one shape, counted once, and the connection is closed; before much more than the bound was kept."""
    written, closed, counted = said(*in_slices(sent, size), head_bytes=10_000, headers=50)
    head, _, body = written.rpartition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in head
    assert json.loads(body).keys() == {"error", "details"}
    assert closed
    assert counted == [reason]


def test_long_calls_within_the_bounds_are_answered():
    """Fifty headers, a head of nearly ten thousand bytes, and a body of many small chunks."""
    call = HEAD + b"".join(b"a%d: %b\r\n" % (number, b"x" * 150) for number in range(47))
    call += b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n"
    for size in (999, 1_000_000):
        written, closed, counted = said(*in_slices(call, size), head_bytes=10_000, headers=50)
        assert answers(written) == [["/predict", "a" * 20_000, 49]]
        assert not closed
        assert counted == []


def test_calls_one_after_another_do_not_add_up():
    """The bound is that of one head, however many came on the connection and in one packet."""
    written, closed, counted = said((HEAD + b"X: " + b"a" * 900 + b"\r\n\r\n") * 100, head_bytes=1_100, headers=5)
    assert len(answers(written)) == 100
    assert (closed, counted) == (False, [])


def swept(parts, waits, **bounds):
    """A connection that sends some parts and then waits for so many seconds of the loop's clock."""

    async def run():
        server, loop = Server(**bounds), asyncio.get_running_loop()
        now, clock = [0.0], loop.time
        loop.time = lambda: clock() + now[0]
        try:
            transport = await talk(server, parts)
            now[0] = waits
            for _ in range(20):
                await asyncio.sleep(0)
        finally:
            loop.time = clock
        return transport.written, transport.closed or transport.ended, server.counted

    return asyncio.run(run())


def test_a_head_that_does_not_end_is_given_up():
    """After the time allowed, with a word; and a connection that sends nothing, without one."""
    written, closed, counted = swept([HEAD], 11, head_seconds=10)
    assert written.startswith(b"HTTP/1.1 408 ")
    assert (closed, counted) == (True, ["timeout"])
    assert swept([], 11, head_seconds=10) == (b"", True, [])


def test_the_next_head_on_a_connection_has_no_more_time_than_the_first():
    """Though an idle connection may wait longer for its first byte."""
    written, closed, counted = swept([HEAD + b"Content-Length: 0\r\n\r\n", HEAD], 11, head_seconds=10)
    assert b"HTTP/1.1 408 " in written
    assert (closed, counted) == (True, ["timeout"])


def test_a_connection_whose_body_came_after_the_answer_is_idle_then():
    """It is not forgotten, nor waited for any less than another."""

    async def run():
        server, loop = Server(idle_seconds=75), asyncio.get_running_loop()
        server.config.loaded_app = refusing
        now, clock = [0.0], loop.time
        loop.time = lambda: clock() + now[0]
        try:
            transport = await talk(server, [HEAD + b"Content-Length: 5\r\n\r\nh", b"ello"])
            still = []
            for now[0] in (70.0, 80.0):
                for _ in range(20):
                    await asyncio.sleep(0)
                still.append(not transport.closed)
        finally:
            loop.time = clock
        return still

    assert asyncio.run(run()) == [True, False]


@pytest.mark.parametrize(
    "parts", [[HEAD], [], [HEAD + b"Content-Length: 5\r\n\r\nh"]], ids=["a head", "none", "a body"]
)
def test_who_is_within_the_time_is_waited_for(parts):
    """A body has the call's own timeout."""
    assert swept(parts, 11 if b"\r\n\r\n" in b"".join(parts) else 9, head_seconds=10) == (b"", False, [])


def test_an_idle_connection_outlives_a_balancers():
    """Closed after the time allowed, not uvicorn's five seconds."""
    call = HEAD + b"Content-Length: 0\r\n\r\n"
    _, closed, _ = swept([call], 70, idle_seconds=75)
    assert not closed
    _, closed, _ = swept([call], 80, idle_seconds=75)
    assert closed


def test_idle_connections_make_room_for_new_ones():
    """At the bound the longest idle go; a call under way never does."""

    async def run():
        server = Server(connections=20)
        idle = [server.connect()[1] for _ in range(20)]
        busy, transport = server.connect()
        busy.data_received(HEAD + b"Content-Length: 5\r\n\r\nh")
        newest = await talk(server, [HEAD + b"Content-Length: 0\r\n\r\n"])
        return [one.closed for one in idle], transport.closed, newest

    idle, busy, newest = asyncio.run(run())
    assert 0 < sum(idle) < 20
    assert not busy
    assert len(answers(newest.written)) == 1


def test_where_all_are_busy_probes_are_still_answered():
    """Others are told to try again; beyond the spare ones nothing is read at all."""

    async def run():
        server = Server(connections=4)
        for _ in range(4):
            server.connect()[0].data_received(HEAD + b"Content-Length: 5\r\n\r\nh")
        other = await talk(server, [HEAD + b"Content-Length: 0\r\n\r\n"])
        probe = await talk(server, [b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"])
        for _ in range(protocol.SPARE_CONNECTIONS + 1):
            server.connect()[0].data_received(b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        return probe, other, server.connect()[1], server.counted

    probe, other, beyond, counted = asyncio.run(run())
    assert len(answers(probe.written)) == 1
    assert other.written.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in other.written
    assert beyond.closed
    assert set(counted) == {"overloaded"}


def test_the_log_has_a_line_in_a_while(caplog):
    """However many are refused: an attack must not fill the disk."""
    refusals = Refusals(lambda _: None)
    for _ in range(1_000):
        refusals.note("malformed", "no HTTP")
    assert len(caplog.records) == 1


async def refusing(scope, receive, send):
    """Answers before it has read anything."""
    await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"no"})


def listened_to(size, sent, waits=0):
    """An early answer to a body of ``size`` of which ``sent`` come after it: the connection, when time has passed."""

    async def run():
        server, loop = Server(), asyncio.get_running_loop()
        server.config.loaded_app = refusing
        now, clock = [0.0], loop.time
        loop.time = lambda: clock() + now[0]
        try:
            head = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size
            connection, transport = server.connect()
            connection.data_received(head)
            for _ in range(20):
                await asyncio.sleep(0)
            for _ in range(sent // 65_536):
                connection.data_received(bytes(65_536))
            now[0] = waits
            for _ in range(20):
                await asyncio.sleep(0)
        finally:
            loop.time = clock
        return transport

    return asyncio.run(run())


def test_who_is_answered_early_is_listened_to_until_the_answer_was_read():
    """Closed on unread bytes, a connection is reset, and its caller sees no answer: with ``Connection: close`` too."""
    transport = listened_to(30_000_000, 30_000_000)
    assert transport.written.startswith(b"HTTP/1.1 413 ")
    assert transport.ended
    assert not transport.closed


@pytest.mark.parametrize(("sent", "waits"), [(closing.LINGER_BYTES + 65_536, 0), (0, closing.LINGER_SECONDS + 1)])
def test_but_not_for_ever(sent, waits):
    """Neither for any number of bytes nor for any time."""
    assert listened_to(1_000_000_000, sent, waits).closed


def test_a_line_end_after_a_call_does_not_hold_the_connection():
    """Some clients send one; it is neither a head under way nor a reason to wait for ever."""
    call = HEAD + b"Content-Length: 0\r\n\r\n"
    assert not swept([call, b"\r\n"], 70, idle_seconds=75)[1]
    assert swept([call, b"\r\n"], 80, idle_seconds=75)[1]


def test_who_does_not_read_is_not_waited_for():
    """His answer would lie here for ever."""

    async def run():
        server, loop = Server(), asyncio.get_running_loop()
        now, clock = [0.0], loop.time
        loop.time = lambda: clock() + now[0]
        try:
            transport = await talk(server, [HEAD + b"Content-Length: 5\r\n\r\nh"])
            closed = []
            for seconds, unsent in ((10.0, 900), (30.0, 500), (50.0, 500), (70.0, 500)):
                now[0], transport.unsent = seconds, unsent
                for _ in range(20):
                    await asyncio.sleep(0)
                closed.append(transport.closed)
        finally:
            loop.time = clock
        return closed

    assert asyncio.run(run()) == [False, False, False, True]


@pytest.mark.parametrize("bad", [b"\x00g\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", CHUNKED + b"5\r\nab"], ids=repr)
@pytest.mark.parametrize("before", [1, 3])
def test_calls_before_a_bad_one_are_answered_before_it(before, bad):
    """In their order, each with its own answer."""
    end = b"cde\r\nzz\r\n" if bad.startswith(CHUNKED) else b""
    written, closed, counted = said((HEAD + b"Content-Length: 2\r\n\r\nok") * before + bad + end)
    parts = written.split(b"HTTP/1.1 ")[1:]
    assert [part[:3] for part in parts] == [b"200"] * before + [b"400"]
    assert closed
    assert counted == ["malformed"]


def test_the_end_of_the_server_does_not_wait_for_who_was_refused():
    """He may have the answer yet to read; calls under way are finished."""

    async def run():
        server = Server()
        connection, transport = server.connect()
        connection.data_received(CHUNKED + b"5\r\nabcde\r\nzz\r\n")
        busy, other = server.connect()
        busy.data_received(HEAD + b"Content-Length: 5\r\n\r\nh")
        connection.shutdown()
        busy.shutdown()
        return transport.closed, other.closed

    assert asyncio.run(run()) == (True, False)


def test_trailers_are_no_headers():
    """A key must not come after the body (RFC 9110, 6.5.1)."""
    written, _, _ = said(CHUNKED + b"1\r\nx\r\n0\r\nAuthorization: Bearer y\r\n\r\n")
    assert answers(written) == [["/predict", "x", 2]]


CALL = HEAD + b"Content-Length: 5\r\n\r\nhello"


def turned_away(*parts, most=0, **bounds):
    """What is written to parts of a connection where ``most`` calls may wait; the server and the transport."""
    server = Server(**bounds)
    server.door.most = most
    return server, asyncio.run(talk(server, parts))


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_call_too_many_is_refused_and_its_connection_stays(size):
    """However it comes in pieces; the next one on the connection is answered again when there is room."""
    server = Server()

    async def run():
        connection, transport = server.connect()
        server.door.most = 0
        for part in in_slices(CALL + CALL, size):
            connection.data_received(part)
        assert transport.written == BUSY + BUSY
        server.door.most = 1
        connection.data_received(CALL)
        for _ in range(20):
            await asyncio.sleep(0)
        return transport

    transport = asyncio.run(run())
    assert answers(transport.written) == [["/predict", "hello", 2]]
    assert not transport.closed
    assert (server.door.refused, server.door.waiting) == (2, 0)


def test_calls_under_way_are_counted_until_they_are_answered_or_their_caller_is_gone():
    """What is let in while ``most`` are under way is nobody; a caller who hangs up makes room."""
    server = Server()

    async def run():
        server.door.most = 2
        callers = [server.connect() for _ in range(3)]
        for connection, _ in callers:
            connection.data_received(CALL)
        assert server.door.waiting == 2
        assert [transport.written for _, transport in callers] == [b"", b"", BUSY]
        callers[0][0].connection_lost(None)
        assert server.door.waiting == 1
        for _ in range(20):
            await asyncio.sleep(0)
        return callers[1][1].written

    assert len(answers(asyncio.run(run()))) == 1
    assert server.door.waiting == 0


@pytest.mark.parametrize("ending", [b"HTTP/1.1\r\nConnection: close\r\nHost: x\r\n", b"HTTP/1.0\r\n"])
def test_a_last_call_too_many_ends_its_connection(ending):
    """The caller hears the same, and that it was the last."""
    server, transport = turned_away(b"POST /predict " + ending + b"Content-Length: 5\r\n\r\nhe", b"llo")
    assert (transport.written, transport.ended) == (BUSY_LAST, True)
    assert server.door.refused == 1


@pytest.mark.parametrize(
    "head",
    [
        b"POST /predict_batch HTTP/1.1\r\nHost: x\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n",
        b"HEAD /predict HTTP/1.1\r\nHost: x\r\n",
        HEAD + b"Origin: http://shop.example\r\n",
    ],
    ids=["a batch", "a probe", "one without a body in its answer", "a page of another host"],
)
def test_what_the_short_answer_does_not_fit_goes_on(head):
    """It is refused further in, where its answer is made."""
    _, transport = turned_away(head + b"Content-Length: 5\r\n\r\nhello", cors=True)
    assert transport.written.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("path", [b"/%70redict", b"http://x/predict", b"/predict?a=b"])
def test_no_way_to_write_the_path_leads_around_the_door(path):
    """And none of the headers that are looked at."""
    server, transport = turned_away(CALL.replace(b"/predict", path, 1))
    assert (transport.written, server.door.refused) == (BUSY, 1)
    server, transport = turned_away(CALL.replace(b"Host: x\r\n", b"Host: x\r\nOrigin: http://a\r\n"))
    assert (transport.written, server.door.refused) == (BUSY, 1)


def test_who_asks_first_is_told_and_does_not_send():
    """The answer in place of 100 ends the connection: nobody knows whether the body still comes."""
    _, transport = turned_away(HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", b"hello")
    assert (transport.written, transport.ended) == (BUSY_LAST, True)


def test_while_the_server_ends_a_refusal_is_the_last_of_its_connection():
    """As every answer is."""
    server = Server()
    server.kind.leaving, server.door.most = True, 0
    assert asyncio.run(talk(server, [CALL])).written == BUSY_LAST


def test_one_call_of_a_connection_counts():
    """Those behind it wait for their turn: thousands of them, in one packet, would else close the door to others."""
    server = Server()

    async def run():
        connection, transport = server.connect()
        connection.data_received(CALL * 50)
        most = server.door.waiting
        for _ in range(2_000):
            await asyncio.sleep(0)
        return most, len(answers(transport.written)), server.door.waiting

    assert asyncio.run(run()) == (1, 50, 0)


def test_all_calls_of_a_caller_who_is_gone_hear_of_it():
    """The one that is answered and those that wait behind it: nobody writes to a connection that has ended."""
    server = Server()

    async def run():
        connection, transport = server.connect()
        connection.data_received(CALL * 3)
        cycles = [connection._running, *(cycle for cycle, _ in connection.pipeline)]
        connection.connection_lost(None)
        for _ in range(100):
            await asyncio.sleep(0)
        return [cycle.disconnected for cycle in cycles], transport.written, server.door.waiting

    assert asyncio.run(run()) == ([True] * 3, b"", 0)


def test_refusals_beyond_a_rate_wait_for_their_turn(monkeypatch):
    """Some at once, the others later, all of them; a call behind one that waits is answered after it."""
    monkeypatch.setattr(door, "REFUSALS_A_TICK", 2)
    server = Server()
    server.door._left = 2

    async def run():
        server.door.most = 0
        callers = [server.connect() for _ in range(5)]
        for connection, _ in callers:
            connection.data_received(CALL)
        at_once = [transport.written for _, transport in callers]
        server.door.most = 9
        callers[4][0].data_received(CALL)
        while not all(transport.written for _, transport in callers):
            await asyncio.sleep(0.001)
        for _ in range(50):
            await asyncio.sleep(0)
        return at_once, [transport.written for _, transport in callers]

    at_once, written = asyncio.run(run())
    assert at_once == [BUSY, BUSY, b"", b"", b""]
    assert written[:4] == [BUSY] * 4
    assert written[4].startswith(BUSY + b"HTTP/1.1 200 OK")
    assert server.door.refused == 5


def test_an_address_longer_than_the_parser_takes_is_too_long():
    """Whatever length is allowed."""
    written, closed, _ = said(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", head_bytes=1 << 20)
    assert written.startswith(b"HTTP/1.1 414 ")
    assert closed


def test_with_a_query_it_is_the_same_path():
    """And no way around the door."""
    server, transport = turned_away(CALL.replace(b"/predict", b"/predict?a=b"))
    assert (transport.written, server.door.refused) == (BUSY, 1)


def test_an_offer_to_upgrade_changes_nothing():
    """It is left aside, and what is left is a call too many."""
    server, transport = turned_away(HEAD + OFFER + b"Content-Length: 5\r\n\r\nhello", CALL)
    assert (transport.written, server.door.refused) == (BUSY + BUSY, 2)


def test_calls_sent_without_waiting_are_answered_in_their_order():
    """The second is let in although there is no room: its refusal may not come before the first's answer."""
    server, transport = turned_away(CALL + CALL, most=1)
    assert len(answers(transport.written)) == 2
    assert server.door.waiting == 0


def test_a_body_that_never_comes_after_its_refusal_is_not_waited_for(monkeypatch):
    """The connection is looked at as any other that was answered early."""
    monkeypatch.setattr(closing, "SWEEP_SECONDS", 0.0)
    monkeypatch.setattr(turnable, "LINGER_SECONDS", -1.0)
    _, transport = turned_away(HEAD + b"Content-Length: 5\r\n\r\nhel")
    assert (transport.written, transport.closed) == (BUSY, True)


def test_while_the_server_ends_each_answer_is_the_last_of_its_connection():
    """Of a connection that was open before, too; what was asked is answered whole."""
    call = HEAD + b"Content-Length: 2\r\n\r\n{}"

    async def talk_on():
        server = Server()
        connection, transport = server.connect()
        for leaving in (False, True):
            server.kind.leaving = leaving
            connection.data_received(call)
            for _ in range(400):
                await asyncio.sleep(0)
            yield transport.written.count(b"connection: close\r\n"), transport.closed, len(answers(transport.written))

    async def both():
        return [state async for state in talk_on()]

    assert asyncio.run(both()) == [(0, False, 1), (1, True, 2)]
