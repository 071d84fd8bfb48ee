"""A short way for ``POST /predict``: from the Edge to the batcher and back, past BentoML's middleware.

    Edge -> ShortCut -> Batcher -> FraudDetector's scoring -> the answer's bytes

It serves only what it understands whole: a plain JSON call whose body is there and valid. Anything else, and anything
that fails, is handed back with what was read of it, and BentoML's own path serves, words and counts it. What is
answered here is counted in BentoML's own metrics too (``serving.counts``). What BentoML's middleware would do
beyond that is looked for when the service starts, and where it is asked for there is no short cut.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from fraud.rows import Decoded, ScoredRow
from serving.answer import answer_one
from serving.bento import body_is_there, is_alone
from serving.counts import BuiltinCounts
from serving.decode import PREDICT_BYTES
from serving.edge import KEY, Headers, Message, NoteRefused, Receive, Scope, Send
from serving.refuse import RETRY_AFTER_SECONDS, RefusedError
from serving.telemetry import request_id

PATIENCE_SECONDS = 1.0
"""A body that has not come by then is waited for on BentoML's path, which has the timeout."""
_JSON, _ID, _TRACE = b"application/json", request_id.HEADER, request_id.TRACEPARENT


class ShortCut:
    """Answers calls of ``/predict``.

    ``decode(body)``: a transaction, or None if it is not surely valid. ``score(transaction, alone)``: what its model
    says of it, which may be gathered with others unless its call is alone; raises RefusedError when there is no answer.
    ``log(transaction, scored, request id, key's name)``: told of what is answered with scores.
    ``observe(seconds, reason)``: told of each call, as the Edge's. ``send``: sends a whole answer. ``server``: the
    value of the Server header. ``refused(scope, status, reason, request id)``: told of each refused call.
    """

    def __init__(
        self,
        decode: Callable[[bytes], Decoded | None],
        score: Callable[[Decoded, bool], Awaitable[ScoredRow]],
        counts: BuiltinCounts,
        observe: Callable[[float, str | None], None],
        log: Callable[[Decoded, ScoredRow, str, str | None], None] | None,
        send: Callable[[Send, int, Headers, bytes], Awaitable[None]],
        server: str,
        refused: NoteRefused | None = None,
    ) -> None:
        self._decode = decode
        self._score = score
        self._counts = counts
        self._observe = observe
        self._log = log
        self._send_whole = send
        self._server = (b"server", server.encode())
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send, started: float) -> Receive | None:
        """Answer the call and return None; or a ``receive`` from which BentoML's path hears it from its beginning."""
        own = _id_if_plain(scope)
        if own is None:
            return receive
        try:
            message = await (receive() if body_is_there(receive) else asyncio.wait_for(receive(), PATIENCE_SECONDS))
        except TimeoutError:
            return receive
        decoded = self._read(message)
        if decoded is None:
            return _again(message, receive)
        self._counts.in_progress += 1
        try:
            scored = await self._score(decoded, is_alone(receive))
        except RefusedError as refusal:
            await self._send(send, refusal.status, refusal.body(), own, started)
            self._observe(time.perf_counter() - started, refusal.reason)
            if self._refused is not None:
                self._refused(scope, refusal.status, refusal.reason, own.decode())
            return None
        except Exception:  # noqa: BLE001 - BentoML's path tries again, logs it and words it
            return _again(message, receive)
        finally:
            self._counts.in_progress -= 1
        if self._log is not None:
            self._log(decoded, scored, own.decode(), scope.get(KEY))
        await self._send(send, 200, answer_one(scored, decoded.name).encode(), own, started)
        self._observe(time.perf_counter() - started, None)
        return None

    def _read(self, message: Message) -> Decoded | None:
        """The transaction of a call that is there as a whole and valid."""
        if message["type"] != "http.request" or message.get("more_body", False):
            return None
        body = message["body"]
        return self._decode(body) if len(body) <= PREDICT_BYTES else None

    async def _send(self, send: Send, status: int, body: bytes, own: bytes, started: float) -> None:
        headers = [
            (b"content-length", b"%d" % len(body)),
            (b"content-type", b"application/json"),
            self._server,
            (_ID, own),
        ]
        if status == 503:
            headers.append((b"retry-after", b"%d" % RETRY_AFTER_SECONDS))
        await self._send_whole(send, status, headers, body)
        self._counts.answered(status, time.perf_counter() - started)


def _id_if_plain(scope: Scope) -> bytes | None:
    """The call's id where it is a POST of plain JSON, else None."""
    if scope["method"] != "POST":
        return None
    media_type, given, traceparent = _JSON, b"", b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            media_type = value
        elif name == b"content-encoding":
            return None
        elif name == _ID:
            given = value
        elif name == _TRACE:
            traceparent = value
    if media_type == _JSON or media_type.partition(b";")[0].strip().lower() == _JSON:
        return request_id.of(given, traceparent)
    return None


def _again(message: Message, receive: Receive) -> Receive:
    """``receive`` that gives ``message`` first."""
    waiting = [message]

    async def heard() -> Message:
        return waiting.pop() if waiting else await receive()

    return heard
