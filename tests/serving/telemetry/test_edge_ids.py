"""At the Edge each call has one id, whoever answers it; and a refused one may be told of."""

import asyncio
import re
from http import HTTPStatus

import pytest

from serving.edge import CALL, Edge
from serving.refuse import RefusedError
from serving.telemetry import request_id
from tests.serving.test_edge import JSON, KNOWN, Driven, answering, body, start

GIVEN = (b"x-request-id", b"id-1")


def ids(driven):
    return [value for name, value in driven.headers if name in (b"x-request-id", b"x-bentoml-request-id")]


@pytest.mark.parametrize("status", [200, 204, 307, 400, 404, 405, 413, 415, 429, 500, 503, 504])
@pytest.mark.parametrize("path", ["/predict", "/predict_batch", "/metrics", "/nowhere"])
def test_every_answer_bears_the_callers_id(status, path):
    """Whoever worded it, and in place of BentoML's own."""
    theirs = start(status, JSON, (b"X-BentoML-Request-ID", b"17"))
    assert ids(Driven(answering(theirs, body(b"{}")), path, headers=[JSON, GIVEN])) == [b"id-1"]


def test_a_refusal_in_our_words_bears_it_too():
    """Of a call that was not valid, and of one without a key."""
    refusal = RefusedError(HTTPStatus.BAD_REQUEST, "invalid", "no")
    assert ids(Driven(answering(start(400), body(b""), refusal=refusal), headers=[GIVEN])) == [b"id-1"]
    assert ids(Driven(answering(), guard=lambda _: None, headers=[GIVEN])) == [b"id-1"]


def test_without_one_a_fresh_one_is_made():
    """And where the caller's is not sound."""
    for headers in ([], [(b"x-request-id", b"a b")]):
        [made] = ids(Driven(answering(start(200), body(b"")), headers=headers))
        assert re.fullmatch(b"[0-9a-f]{32}", made)


def test_what_is_said_during_a_call_bears_its_id():
    """The lines of the log and spans look there; calls beside each other have their own."""
    seen = []

    async def app(scope, receive, send):
        await asyncio.sleep(0)
        seen.append((scope[CALL].request_id, request_id.current.get()))
        await send(start(200))
        await send(body(b""))

    async def run():
        edge = Edge(app, KNOWN, lambda *_: None)
        scopes = [
            {"type": "http", "path": "/model", "method": "GET", "headers": [(b"x-request-id", b"%d" % number)]}
            for number in range(5)
        ]
        await asyncio.gather(*(edge(scope, ignored, ignored) for scope in scopes))

    async def ignored(*_):
        return None

    asyncio.run(run())
    assert sorted(seen) == [(str(number), str(number)) for number in range(5)]


@pytest.mark.parametrize(
    ("status", "reason", "path"),
    [(413, "internal", "/predict"), (404, "malformed", "/no\nwhere"), (200, None, "/predict")],
)
def test_a_refused_call_is_told_of_as_it_was_asked(status, reason, path):
    """Its own path, not the one that stands for all unknown ones; what was answered with scores is not told of."""
    told = []

    async def run():
        edge = Edge(answering(start(status), body(b"{}")), KNOWN, lambda *_: None)
        edge.note_refused = lambda scope, *facts: told.append((scope["path"], *facts))

        async def ignored(*_):
            return None

        scope = {"type": "http", "path": path, "raw_path": b"", "method": "POST", "headers": [GIVEN]}
        await edge(scope, ignored, ignored)

    asyncio.run(run())
    assert told == ([] if reason is None else [(path, status, reason, "id-1")])
