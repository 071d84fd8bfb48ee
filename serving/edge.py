"""The outermost ASGI layer of the service: bounded paths, one shape of error, and a count of every call.

BentoML labels its request metrics with the raw path, words errors in several shapes, and answers some of them before
a service method is reached. Here, around everything else, unknown paths are folded into one, callers without a key
are turned away, every error answer gets the same JSON shape, web sockets are refused, and each prediction call is timed
and counted once with its final reason.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from starlette.responses import Response

from serving.refuse import RETRY_AFTER_SECONDS, RefusedError, crowded, error_body
from serving.telemetry import request_id, tracing

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Headers = list[tuple[bytes, bytes]]
"""Names in lower case."""
Quick = Callable[[Scope, Receive, Send, float], Awaitable[Receive | None]]
NoteRefused = Callable[[Scope, int, str, str], None]
"""Told of a refused call: its scope, status, reason and id."""

CALL = "fraud.call"
KEY = "fraud.key"
"""In the scope of a call that sent a known key: the key's name."""
PREDICT, BATCH, METRICS = "/predict", "/predict_batch", "/metrics"
PREDICTION_PATHS = frozenset({PREDICT, BATCH})
STATIC = "/static_content/"
OPEN = frozenset({"/", METRICS, "/livez", "/healthz", "/readyz", "/docs.json", "/schema.json"})
"""Paths that need no API key, beside what is below STATIC. Whatever else exists needs one where keys are set."""
UNKNOWN = "/unknown"

_UNAUTHORIZED = "a key is needed: send it as Authorization: Bearer KEY"
_WRONG_KEY = "what was sent as Authorization is no key for this path: send one as Bearer KEY"
_OTHER_KIND = "this key is of another kind: this path needs one that is good for it, see /docs.json"
_FOREIGN = {
    404: ("malformed", "there is no such path; see / for what there is"),
    405: ("method", "this path does not take that method; see / for what there is"),
    415: ("not_json", "the body must be JSON, with Content-Type: application/json"),
    429: (crowded().reason, crowded().error),
    500: ("internal", "an unexpected error; it is in the service's log"),
    503: ("overloaded", "the service is overloaded or not ready; try again shortly"),
    504: ("timeout", "the call took too long and was given up"),
}


class Call:
    """What became of one HTTP call.

    ``key``: name of the key that it sent, None where none is asked for. ``refusal`` is set by whoever refuses it in our
    own words; ``gone``: the caller hung up before the answer.
    """

    def __init__(self, started: float, own_id: str = "", key: str | None = None) -> None:
        self.started = started
        self.request_id = own_id
        self.key = key
        self.status = 0
        self.refusal: RefusedError | None = None
        self.reason: str | None = None
        self.answered = False
        self.gone = False


class Edge:
    """Wraps the service's ASGI application.

    ``known``: the paths that exist. ``observe(seconds, reason)``: told of each finished prediction call; ``reason``
    is None when it was answered with scores. ``guards``: by path, ``guard(headers)`` gives the name of a call's key,
    None where it may not pass; what has none is open. ``batches``: what serves BATCH; ``app`` by default.
    """

    def __init__(
        self,
        app: App,
        known: frozenset[str],
        observe: Callable[[float, str | None], None],
        guards: Mapping[str, Callable[[Iterable[tuple[bytes, bytes]]], str | None]] | None = None,
        batches: App | None = None,
    ) -> None:
        self.app = app
        self.known = known
        self.observe = observe
        self.guards = guards or {}
        self.batches = batches or app
        self.quick: Quick | None = None
        """A shorter way for ``/predict``; it answers and returns None, or returns what the application is to hear."""
        self.took_long: Callable[[], None] = lambda: None
        """Told of each ``/predict`` that was answered with scores by ``app``."""
        self.unauthorized: App = unauthorized
        """What answers a call without a key."""
        self.note_unauthorized: Callable[[Scope], None] = lambda _: None
        """Told of each call without a key."""
        self.knows: Callable[[Scope], str | None] = lambda _: None
        """The name of a call's key, if it is of another kind: ``forbidden`` answers it then, and it is noted."""
        self.forbidden: App = forbidden
        self.note_forbidden: Callable[[Scope], None] = lambda _: None
        self.note_refused: NoteRefused | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event, as ASGI applications do."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] == "websocket":  # there are none, and BentoML would add series for each path that is tried
            await receive()
            await send({"type": "websocket.close", "code": 1000})  # before it is accepted: the server answers 403
            return
        started = time.perf_counter()
        guard = self.guards.get(scope["path"])
        key = None if guard is None else guard(scope["headers"])
        if key:
            scope[KEY] = key
        may_pass = guard is None or bool(key) or _is_preflight(scope)
        if self.quick is not None and scope["path"] == PREDICT and may_pass:
            heard = await self.quick(scope, receive, send, started)
            if heard is None:
                return
            receive = heard
        inside = self.batches if scope["path"] == BATCH else self.app
        app = inside if may_pass else self._turn_away(scope)
        call = Call(started, request_id.of_headers(scope["headers"]).decode(), key)
        await self._serve(scope, receive, send, call, app)

    def _turn_away(self, scope: Scope) -> App:
        if self.knows(scope):
            self.note_forbidden(scope)
            return self.forbidden
        self.note_unauthorized(scope)
        return self.unauthorized

    async def _serve(self, scope: Scope, receive: Receive, send: Send, call: Call, app: App) -> None:
        """By the application, whatever it does; a prediction is counted once."""
        asked = scope
        request_id.current.set(call.request_id)
        request_id.current_key.set(call.key)
        if scope["path"] not in self.known:
            scope = {**scope, "path": UNKNOWN, "raw_path": UNKNOWN.encode()}
        scope[CALL] = call
        unanswered = "disconnected"  # cancelled, or given up without an answer
        try:
            await app(scope, _heard(receive, call), _shaped(send, call))
        except Exception:
            unanswered = "internal"
            raise
        finally:
            if scope["path"] in PREDICTION_PATHS:
                if call.gone:
                    call.reason = "disconnected"
                elif not call.answered:
                    call.reason = unanswered
                elif call.reason is None and scope["path"] == PREDICT:
                    self.took_long()
                self.observe(time.perf_counter() - call.started, call.reason)
            if self.note_refused is not None and call.status >= 400:
                self.note_refused(asked, call.status, call.reason or unanswered, call.request_id)


def _is_preflight(scope: Scope) -> bool:
    """Whether a browser asks whether it may call (CORS): such a question never carries a key."""
    asks = b"access-control-request-method"
    return scope["method"] == "OPTIONS" and any(name == asks for name, _ in scope["headers"])


async def unauthorized(scope: Scope, _: Receive, send: Send) -> None:
    """The answer to a call without a key, before anything of it is read."""
    scope[CALL].reason = "unauthorized"
    sent = any(name == b"authorization" for name, _ in scope["headers"])
    body = error_body(_WRONG_KEY if sent else _UNAUTHORIZED)
    await send_in_two(send, 401, [*_described(body), (b"www-authenticate", b"Bearer")], body)


async def forbidden(scope: Scope, _: Receive, send: Send) -> None:
    """The answer to a call with a key of another kind, unread."""
    scope[CALL].reason = "forbidden"
    body = error_body(_OTHER_KIND)
    await send_in_two(send, 403, _described(body), body)


async def send_in_two(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a whole answer as ASGI has it; the length of ``body`` is among ``headers``."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def refused(scope: Scope, refusal: RefusedError) -> Response:
    """The answer to a refused call of the application inside, which the Edge words and counts."""
    if CALL in scope:
        scope[CALL].refusal = refusal
        tracing.describe(refused=refusal.reason)
    return Response(refusal.body(), refusal.status, media_type="application/json")


def _described(body: bytes) -> Headers:
    return [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]


def _heard(receive: Receive, call: Call) -> Receive:
    """``receive`` that notes when the caller hangs up: what is answered after that reaches nobody."""

    async def heard() -> Message:
        message = await receive()
        call.gone = call.gone or (message["type"] == "http.disconnect" and not call.answered)
        return message

    return heard


def _shaped(send: Send, call: Call) -> Send:
    """``send`` that words error answers, whoever gave them, and adds Retry-After where a retry may help."""
    replaced: tuple[Message, bytes] | None = None

    async def shaped(message: Message) -> None:
        nonlocal replaced
        if message["type"] == "http.response.start":
            call.status = message["status"]
            message = {**message, "headers": request_id.stamped(message["headers"], call.request_id)}
        if message["type"] == "http.response.start" and message["status"] >= 400:
            if message["status"] in (429, 503):
                header = (b"retry-after", str(RETRY_AFTER_SECONDS).encode())
                message = {**message, "headers": [*message["headers"], header]}
            if call.reason is None:
                replaced = _reworded(message, call)
                return
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        call.answered = call.answered or last
        if replaced is None:
            await send(message)
        elif last:
            await send(replaced[0])
            await send({"type": "http.response.body", "body": replaced[1]})

    return shaped


def _reworded(start: Message, call: Call) -> tuple[Message, bytes]:
    if call.refusal is not None:
        call.reason, body = call.refusal.reason, call.refusal.body()
    else:
        call.reason, error = _FOREIGN.get(start["status"], ("internal", "the call was refused"))
        body = error_body(error)
    kept = [pair for pair in start["headers"] if pair[0].lower() not in (b"content-length", b"content-type")]
    return {**start, "headers": [*kept, *_described(body)]}, body
