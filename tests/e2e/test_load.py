"""The benchmark's load generators against real servers."""

import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn

import pytest
import uvloop

from benchmarks.serving import load
from benchmarks.serving.crowd import Crowd
from benchmarks.serving.environments import ROOT
from tests.components import Process, answers, free_port
from tests.components.require import require

pytestmark = pytest.mark.e2e

BODY = ROOT / "sample_transaction.json"
PATH = "/predict"


class OneAtATime(HTTPServer):
    """Answers one call after the other with ``status``, the 20th after ``stall_seconds``."""

    request_queue_size = 512

    def __init__(self, status, stall_seconds):
        self.status, self.stall_seconds, self.calls = status, stall_seconds, 0
        super().__init__(("127.0.0.1", 0), Answer)


class Answer(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls += 1
        if self.server.calls == 20:
            time.sleep(self.server.stall_seconds)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


class ManyAtATime(ThreadingMixIn, OneAtATime):
    """The same with a thread for each connection."""

    daemon_threads = True


@contextmanager
def one_at_a_time(status=200, stall_seconds=0.0, server=OneAtATime):
    with server(status, stall_seconds) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{PATH}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def floor(tmp_path):
    """The benchmark's floor under uvicorn: its address."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "benchmarks.serving.apps.floor:app",
        "--port",
        str(port),
        "--http",
        "httptools",
    ]
    process = Process("floor", command, tmp_path, cwd=ROOT)
    process.start(lambda: _listens(port), 30)
    yield f"http://127.0.0.1:{port}{PATH}"
    process.stop()


def _listens(port):
    return (
        not answers(f"http://127.0.0.1:{port}/")
        and load.steady(f"http://127.0.0.1:{port}{PATH}", BODY, 5, 1).errors == 0
    )


def test_a_constant_rate_is_kept(floor):
    """400 calls in two seconds, all answered, on kept-alive connections."""
    seen = load.steady(floor, BODY, 200, 2)
    assert (seen.requests, seen.errors) == (400, 0)
    assert 1.9 < seen.seconds < 2.5
    assert seen.p50_ms < 50


def test_a_stall_is_felt_by_all_calls_that_were_due():
    """One answer late by 0.8 s makes the 80 calls due meanwhile late too: half of all by 0.3 s and more."""
    with one_at_a_time(stall_seconds=0.8) as url:
        seen = load.steady(url, BODY, 100, 1)
    assert (seen.requests, seen.errors) == (100, 0)
    assert seen.max_ms > 790
    assert seen.p50_ms > 300


def test_the_closed_loop_leaves_a_stall_to_one_call():
    """The same stall with one caller: the median knows nothing of it. That is why there are two loads."""
    require("wrk")
    with one_at_a_time(stall_seconds=0.5) as url:
        seen = load.closed(url, BODY, 1, 1)
    assert seen.requests > 50
    assert seen.errors == 0
    assert seen.p50_ms < 50 < 400 < seen.max_ms


def test_answers_other_than_2xx_are_errors():
    """Of both loads."""
    require("wrk")
    with one_at_a_time(status=503) as url:
        steady, closed = load.steady(url, BODY, 50, 1), load.closed(url, BODY, 1, 1)
    assert (steady.requests, steady.errors) == (50, 50)
    assert closed.errors == closed.requests > 0


def test_nobody_there_is_an_error():
    """Every call that could not be sent counts."""
    seen = load.steady(f"http://127.0.0.1:{free_port()}{PATH}", BODY, 20, 1)
    assert (seen.requests, seen.errors) == (0, 20)


def test_only_this_machine_is_loaded():
    """Any other address is refused before a call is made."""
    for put in (lambda url: load.steady(url, BODY, 1, 1), lambda url: Crowd(url, b"{}", 1, 1)):
        with pytest.raises(ValueError, match=r"127\.0\.0\.1 only"):
            put("http://192.0.2.1:80/")


def crowd(url, rate, connections):
    """What comes of a second of calls."""

    async def run():
        calls = Crowd(url, BODY.read_bytes(), rate, 1)
        await calls.open(connections)
        return await calls.run()

    return uvloop.run(run())


def test_a_crowd_calls_when_calls_are_due_on_all_its_connections(floor):
    """Each call is answered and timed once, though there are fewer calls than connections."""
    came = crowd(floor, 200, 300)
    assert (came.calls, came.statuses, came.given_up, came.lost) == (200, {200: 200}, 0, 0)
    assert len(came.from_due) == len(came.from_sent) == 200
    assert all(sent <= due for sent, due in zip(came.from_sent, came.from_due, strict=True))


def test_a_crowd_counts_what_became_of_every_call():
    """Of a server that hangs up after each answer: answered, lost, or given up for want of a connection."""
    with one_at_a_time(status=503, server=ManyAtATime) as url:
        came = crowd(url, 100, 20)
    assert came.statuses[503] + came.lost + came.given_up == came.calls == 100
    assert 0 < came.statuses[503] <= 20
    assert came.from_due == []
