"""Of large calls a few at a time: those beyond are told to come again, and cost next to nothing."""

import asyncio

from serving.edge import BATCH, CALL, Edge
from serving.few import Few
from serving.refuse import RefusedError
from tests.serving.test_edge import JSON, body, start


def around(batches, observed=None):
    """An Edge whose batches are served by ``batches``."""
    told = [] if observed is None else observed
    return Edge(None, frozenset({BATCH}), lambda _, reason: told.append(reason), batches=batches)


def batch_calls(edge, *messages):
    """A batch whose body comes in such ``messages``; the status that is answered."""
    waiting, statuses = list(messages), []

    async def receive():
        return waiting.pop(0)

    async def send(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    asyncio.run(edge({"type": "http", "path": "/predict_batch", "method": "POST", "headers": [JSON]}, receive, send))
    return statuses[0], waiting


async def reads_all(scope, receive, send):
    """Answers with 200 when the body is whole, as the application inside words refusals."""
    try:
        while (await receive()).get("more_body"):
            pass
    except RefusedError as refusal:
        scope[CALL].refusal = refusal
        await send(start(refusal.status, JSON))
    else:
        await send(start(200, JSON))
    await send(body(b"{}"))


def part(size, more=True):
    return {"type": "http.request", "body": b" " * size, "more_body": more}


def test_a_batch_too_many_is_not_read():
    """Its refusal costs nothing but itself, and it is counted as one of overload."""
    observed = []
    edge = around(Few(reads_all, 0, 100), observed)
    assert batch_calls(edge, part(10), part(10, more=False)) == (429, [part(10), part(10, more=False)])
    assert observed == ["overloaded"]


def test_bodies_that_are_held_are_bounded_together():
    """Who sends more while too much is there is refused; what was held for a call is free again when it ends."""
    edge = around(Few(reads_all, 1, 100))
    for _ in range(3):
        assert batch_calls(edge, part(60), part(41), part(1, more=False)) == (429, [part(1, more=False)])
        assert batch_calls(edge, part(60), part(40, more=False)) == (200, [])


def test_batches_beyond_the_bound_are_refused():
    """Each costs as much as thousands of single calls; when one is over, the next may come, however it ended."""
    observed, statuses = [], []

    async def run():
        held, heard = asyncio.Event(), []

        async def app(scope, receive, send):
            try:
                heard.append(await receive())
            except RefusedError as refusal:
                scope[CALL].refusal = refusal
                await send(start(refusal.status, JSON))
                await send(body(b""))
                return
            is_second = len(heard) == 2
            await held.wait()
            if is_second:
                raise ConnectionError
            await send(start(200, JSON))
            await send(body(b"{}"))

        edge = around(Few(app, 2, 100), observed)

        async def call():
            async def receive():
                return {"type": "http.request", "body": b"{}"}

            async def send(message):
                if message["type"] == "http.response.start":
                    statuses.append((message["status"], dict(message["headers"]).get(b"retry-after")))

            await edge({"type": "http", "path": "/predict_batch", "method": "POST", "headers": [JSON]}, receive, send)

        first = [asyncio.ensure_future(call()) for _ in range(3)]
        while len(observed) < 1:  # the third is refused
            await asyncio.sleep(0)
        assert len(heard) == 2
        held.set()
        await asyncio.gather(*first, return_exceptions=True)
        await asyncio.gather(call(), call())

    asyncio.run(run())
    assert statuses == [(429, b"1"), (200, None), (200, None), (200, None)]
    assert observed == ["overloaded", None, "internal", None, None]
