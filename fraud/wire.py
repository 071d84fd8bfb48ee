"""What uvicorn knows of a call beyond ASGI, and a short answer in one write.

uvicorn writes head and body one by one: two system calls, and the caller wakes twice. What its
``RequestResponseCycle.send`` does with the two messages of such an answer is done at once here; where the connection is
in any other state than the usual, or the server is another one, the two messages are sent. Names of uvicorn's own are
touched here; ``tests/fraud/test_wire.py`` names each and compares every byte and every flag.
"""

import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from fraud.edge import Receive, Send

Headers = list[tuple[bytes, bytes]]


def body_is_there(receive: Receive) -> bool:
    """Whether the whole body is, so that nothing has to be waited for; a timer costs 5 us."""
    return getattr(getattr(receive, "__self__", None), "more_body", True) is False


def is_alone(receive: Receive) -> bool:
    """Whether this worker has no other call under way, so that there is nothing to gather this one with."""
    cycle = getattr(receive, "__self__", None)
    protocol = getattr(getattr(cycle, "on_response", None), "__self__", None)
    return len(getattr(protocol, "tasks", ())) == 1


async def answer_at_once(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a whole answer. Names in ``headers`` are in lower case, with the length of ``body`` among them."""
    cycle = getattr(send, "__self__", None)
    if type(cycle) is not RequestResponseCycle or not _is_usual(cycle):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
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
