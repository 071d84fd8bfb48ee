"""The outermost layer: one shape of error, bounded paths, and each prediction call counted once, as what it was."""

import asyncio
import json
from http import HTTPStatus

import pytest
from prometheus_client import CollectorRegistry

from monitoring.metrics import FraudMetrics
from serving.edge import CALL, KEY, OPEN, PREDICTION_PATHS, STATIC, UNKNOWN, Edge
from serving.refuse import RefusedError
from serving.telemetry import request_id

CLOSED = PREDICTION_PATHS | {"/feedback", "/model", "/a_method_of_tomorrow"}
KNOWN = CLOSED | OPEN | {f"{STATIC}swagger-ui.css"}
JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain")


def start(status, *headers):
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(content, more=False):
    return {"type": "http.response.body", "body": content, "more_body": more}


def answering(*messages, refusal=None, exception=None):
    """An application that sends ``messages``, and refuses in our words when ``refusal`` is given."""

    async def app(scope, receive, send):
        app.scope = scope
        if refusal is not None:
            scope[CALL].refusal = refusal
        for message in messages:
            await send(message)
        if exception is not None:
            raise exception

    return app


class Driven:
    """What came out of one call through the Edge around ``app``."""

    def __init__(self, app, path="/predict", heard=(), kind="http", guard=None, method="POST", headers=(JSON,)):
        self.sent, self.observed, self.unauthorized, self.raised = [], [], [], None
        waiting = iter(heard)

        async def receive():
            return next(waiting)

        async def send(message):
            self.sent.append(message)

        guards = dict.fromkeys(CLOSED, guard) if guard else None
        edge = Edge(app, KNOWN, lambda seconds, reason: self.observed.append((seconds, reason)), guards)
        edge.note_unauthorized = lambda scope: self.unauthorized.append(scope["path"])
        self.scope = {"type": kind, "path": path, "raw_path": path.encode(), "method": method, "headers": list(headers)}
        try:
            asyncio.run(edge(self.scope, receive, send))
        except (RuntimeError, ConnectionError, asyncio.CancelledError) as error:
            self.raised = error

    @property
    def passed(self):
        """What was sent, without the id that each answer bears."""
        kept = [pair for pair in self.sent[0]["headers"] if pair[0] != b"x-request-id"]
        return [{**self.sent[0], "headers": kept}, *self.sent[1:]]

    @property
    def reasons(self):
        return [reason for _, reason in self.observed]

    @property
    def headers(self):
        return [(name.lower(), value) for name, value in self.sent[0]["headers"]]

    @property
    def content(self):
        return b"".join(message["body"] for message in self.sent[1:])


FOREIGN = [
    (404, "malformed", "no such path"),
    (405, "method", "does not take that method"),
    (415, "not_json", "Content-Type: application/json"),
    (429, "overloaded", "too many calls"),
    (500, "internal", "unexpected error"),
    (503, "overloaded", "overloaded or not ready"),
    (504, "timeout", "took too long"),
    (400, "internal", "refused"),
    (401, "internal", "refused"),
    (418, "internal", "refused"),
    (502, "internal", "refused"),
]


@pytest.mark.parametrize(("status", "reason", "words"), FOREIGN)
@pytest.mark.parametrize(
    "parts",
    [[b'["bad"]'], [b""], [b"a" * 5_000, b"b" * 5_000, b""], [b'{"error": "Authorization error"}']],
    ids=["a list", "nothing", "in parts", "an object"],
)
def test_errors_worded_by_others_are_reshaped(status, reason, words, parts):
    """The status stays; the body becomes our one JSON object, sent once, with its own length and type."""
    chunks = [body(part, more=number < len(parts) - 1) for number, part in enumerate(parts)]
    driven = Driven(answering(start(status, TEXT, (b"Content-Length", b"7"), (b"x-id", b"1")), *chunks))
    document = json.loads(driven.content)
    assert document.keys() == {"error", "details"}
    assert words in document["error"]
    assert document["details"] == []
    assert [message["type"] for message in driven.sent] == ["http.response.start", "http.response.body"]
    assert driven.sent[0]["status"] == status
    assert [value for name, value in driven.headers if name == b"content-length"] == [str(len(driven.content)).encode()]
    assert [value for name, value in driven.headers if name == b"content-type"] == [b"application/json"]
    assert (b"x-id", b"1") in driven.headers
    assert driven.reasons == [reason]


@pytest.mark.parametrize("path", ["/", "/metrics", "/nowhere"])
def test_errors_of_other_paths_are_reshaped_and_not_counted(path):
    """Every path answers errors in one shape; only predictions are counted."""
    driven = Driven(answering(start(404, TEXT), body(b"Not Found")), path)
    assert json.loads(driven.content).keys() == {"error", "details"}
    assert driven.observed == []


REFUSAL = RefusedError(HTTPStatus.BAD_REQUEST, "invalid", "ours", [{"field": "V1", "message": "is required"}])


@pytest.mark.parametrize("status", [400, 413, 415, 503])
@pytest.mark.parametrize("path", sorted(PREDICTION_PATHS))
@pytest.mark.parametrize("content", [b"", b'[{"error": "theirs"}]'], ids=["nothing", "BentoML's words"])
def test_our_own_refusals_are_worded_by_us(status, path, content):
    """Whatever the application answers to it, a refusal goes out in its own words and counts under its reason."""
    driven = Driven(answering(start(status, JSON), body(content), refusal=REFUSAL), path)
    assert driven.content == b'{"error":"ours","details":[{"field":"V1","message":"is required"}]}'
    assert driven.sent[0]["status"] == status
    assert driven.reasons == ["invalid"]


@pytest.mark.parametrize("refusal", [None, REFUSAL], ids=["foreign", "ours"])
@pytest.mark.parametrize(
    ("status", "expected"), [(429, [b"1"]), (503, [b"1"]), (400, []), (500, []), (504, []), (200, [])]
)
def test_retry_after_where_a_retry_may_help(refusal, status, expected):
    """429 and 503, in whoever's words, say when to try again; nothing else does."""
    driven = Driven(answering(start(status, JSON), body(b"{}"), refusal=refusal))
    assert [value for name, value in driven.headers if name == b"retry-after"] == expected


def test_an_answer_is_passed_on_as_it_is():
    """A 200 goes out byte for byte and is counted as answered."""
    messages = [start(200, JSON, (b"content-length", b"2")), body(b"{}")]
    driven = Driven(answering(*messages))
    assert driven.passed == messages
    assert driven.reasons == [None]


def test_a_streaming_answer_is_passed_on_part_by_part():
    """Parts are sent when they come, not held back until the last."""
    messages = [start(200, TEXT), body(b"a", more=True), body(b"b", more=True), body(b"")]
    driven = Driven(answering(*messages))
    assert driven.passed == messages
    assert driven.reasons == [None]


def test_a_redirect_is_passed_on():
    """Only statuses from 400 are errors."""
    messages = [start(307, (b"location", b"/")), body(b"")]
    assert Driven(answering(*messages), "/").passed == messages


@pytest.mark.parametrize("path", ["/nowhere", "/predict/", "/PREDICT", "/predict_batch/1", "/../etc/passwd", "", "/ä"])
def test_an_unknown_path_is_folded_into_one(path):
    """What lies behind the Edge sees one path for all that do not exist, so that labels stay bounded."""
    app = answering(start(404), body(b""))
    driven = Driven(app, path)
    assert app.scope["path"] == UNKNOWN
    assert app.scope["raw_path"] == UNKNOWN.encode()
    assert driven.scope["path"] == path


@pytest.mark.parametrize("path", sorted(KNOWN))
def test_a_known_path_is_kept(path):
    """Paths that exist arrive as they were called."""
    app = answering(start(200), body(b""))
    Driven(app, path)
    assert (app.scope["path"], app.scope["raw_path"]) == (path, path.encode())


def test_the_folded_path_does_not_exist():
    """Calling the folded path itself is no way around it."""
    assert UNKNOWN not in KNOWN | PREDICTION_PATHS


def test_start_up_and_shut_down_are_passed_through():
    """The lifespan reaches the application untouched and uncounted."""
    app = answering({"type": "lifespan.anything"})
    driven = Driven(app, "/nowhere", kind="lifespan")
    assert app.scope is driven.scope
    assert CALL not in app.scope
    assert driven.sent == [{"type": "lifespan.anything"}]
    assert driven.observed == []


@pytest.mark.parametrize("path", ["/nowhere", "/predict"])
def test_a_web_socket_is_refused(path):
    """A handshake, to whichever path, is heard and closed; the application never hears of it, and it is no call."""
    app, heard = answering(), iter([{"type": "websocket.connect"}])
    app.scope = None
    driven = Driven(app, path, heard=heard, kind="websocket")
    assert driven.sent == [{"type": "websocket.close", "code": 1000}]
    assert list(heard) == []
    assert app.scope is None
    assert driven.observed == []


@pytest.mark.parametrize(
    "messages",
    [(), (start(200),), (start(200), body(b"a", more=True)), (start(500),), (start(500), body(b"a", more=True))],
    ids=["nothing", "a start", "half an answer", "the start of an error", "half an error"],
)
def test_a_call_without_a_whole_answer_is_disconnected(messages):
    """When the application ends before its answer does, nobody waits for it any more."""
    assert Driven(answering(*messages)).reasons == ["disconnected"]


def test_a_cancelled_call_is_disconnected():
    """Cancelling is passed on, and counted."""
    driven = Driven(answering(exception=asyncio.CancelledError()))
    assert isinstance(driven.raised, asyncio.CancelledError)
    assert driven.reasons == ["disconnected"]


@pytest.mark.parametrize(
    "messages", [(), (start(200),), (start(500, TEXT), body(b"oops"))], ids=["at once", "half way", "after its answer"]
)
def test_an_exception_is_passed_on_and_counted_as_internal(messages):
    """The server still sees the exception; the call counts once, as our fault, also when the 500 is already out."""
    error = RuntimeError("boom")
    driven = Driven(answering(*messages, exception=error))
    assert driven.raised is error
    assert driven.reasons == ["internal"]


def reading(then):
    """An application that reads the body to its end or to a hang-up, and goes on with ``then``."""

    async def app(scope, receive, send):
        while (message := await receive())["type"] == "http.request" and message.get("more_body"):
            pass
        await then(scope, receive, send)

    return app


REQUEST = {"type": "http.request", "body": b"{}", "more_body": False}
PART = {"type": "http.request", "body": b"{", "more_body": True}
GONE = {"type": "http.disconnect"}


@pytest.mark.parametrize(
    "then",
    [
        answering(start(500, TEXT), body(b"oops")),
        answering(start(200), body(b"{}")),
        answering(start(400), body(b"{}"), refusal=RefusedError(HTTPStatus.BAD_REQUEST, "invalid", "x")),
        answering(exception=ConnectionError()),
        answering(),
    ],
    ids=["answers 500", "answers 200", "refuses", "raises", "answers nothing"],
)
def test_a_caller_who_hangs_up_is_disconnected(then):
    """Who is gone before the answer is counted so, whatever the application makes of it."""
    assert Driven(reading(then), heard=[PART, GONE]).reasons == ["disconnected"]


def test_hanging_up_after_the_answer_is_no_disconnect():
    """Servers report the end of every connection; behind a whole answer it means nothing."""

    async def app(scope, receive, send):
        await answering(start(200), body(b"{}"))(scope, receive, send)
        await receive()

    assert Driven(app, heard=[GONE]).reasons == [None]


def test_the_request_is_passed_on_as_it_is():
    """The application reads the messages that the server sent."""
    seen = []

    async def app(scope, receive, send):
        seen.extend([await receive(), await receive()])

    Driven(app, heard=[PART, REQUEST])
    assert seen == [PART, REQUEST]


def test_the_time_of_a_call_is_that_until_its_answer(monkeypatch):
    """The observed seconds are those from the first event to the last message."""
    clock = iter([100.0, 102.5])
    monkeypatch.setattr("serving.edge.time.perf_counter", lambda: next(clock))
    assert Driven(answering(start(200), body(b"{}"))).observed == [(2.5, None)]


@pytest.mark.parametrize("status", sorted({status for status, *_ in FOREIGN}))
def test_every_reason_is_a_label_of_the_metrics(status):
    """Each reason that the Edge gives can be counted."""
    metrics = FraudMetrics(10, CollectorRegistry())
    for messages in [(start(status), body(b"")), ()]:
        metrics.observe_call(*Driven(answering(*messages)).observed[0])


@pytest.mark.parametrize("path", sorted(CLOSED))
def test_without_a_key_nothing_of_the_call_is_read(path):
    """What the guard turns away by its headers is answered 401 in our shape; the application is not called."""
    app, asked = answering(start(200, JSON), body(b"{}")), []
    driven = Driven(app, path, guard=asked.append)
    assert asked == [[JSON]]
    assert not hasattr(app, "scope")
    assert driven.sent[0]["status"] == 401
    assert (b"www-authenticate", b"Bearer") in driven.headers
    assert json.loads(driven.content) == {
        "error": "a key is needed: send it as Authorization: Bearer KEY",
        "details": [],
    }
    assert driven.reasons == (["unauthorized"] if path in PREDICTION_PATHS else [])
    assert driven.unauthorized == [path]


@pytest.mark.parametrize("path", [*sorted(OPEN), f"{STATIC}swagger-ui.css", "/nowhere"])
def test_what_is_open_needs_no_key(path):
    """What has no guard, and paths that do not exist: none is asked."""
    driven = Driven(answering(start(200, JSON), body(b"{}")), path, guard=lambda _: pytest.fail("asked"))
    assert driven.sent[0]["status"] == 200
    assert driven.unauthorized == []


@pytest.mark.parametrize("guard", [None, lambda _: True])
def test_who_may_pass_is_served(guard):
    """Without keys set, or with a known one."""
    driven = Driven(answering(start(200, JSON), body(b"{}")), guard=guard)
    assert driven.sent[0]["status"] == 200
    assert driven.unauthorized == []


def test_a_browser_asks_without_a_key():
    """A preflight never carries one: the application, where BentoML's CORS is, answers it."""
    asks = [(b"origin", b"https://desk.example"), (b"access-control-request-method", b"POST")]
    app = answering(start(200), body(b"OK"))
    driven = Driven(app, guard=lambda _: None, method="OPTIONS", headers=asks)
    assert driven.sent[0]["status"] == 200
    assert driven.unauthorized == []


@pytest.mark.parametrize(
    ("method", "headers"), [("OPTIONS", []), ("POST", [(b"access-control-request-method", b"GET")])]
)
def test_what_is_no_preflight_needs_a_key(method, headers):
    """Neither another question by OPTIONS, nor a call that bears the header."""
    driven = Driven(answering(start(200), body(b"OK")), guard=lambda _: None, method=method, headers=headers)
    assert driven.sent[0]["status"] == 401
    assert driven.unauthorized == ["/predict"]


@pytest.mark.parametrize(
    ("path", "status", "times"), [("/predict", 200, 1), ("/predict", 400, 0), ("/predict_batch", 200, 0)]
)
def test_a_single_call_answered_by_the_application_is_told_of(path, status, times):
    told = []
    edge = Edge(answering(start(status, JSON), body(b"{}")), KNOWN, lambda *_: None)
    edge.took_long = lambda: told.append(1)

    async def send(_):
        pass

    asyncio.run(edge({"type": "http", "path": path, "method": "POST", "headers": [JSON]}, None, send))
    assert len(told) == times


@pytest.mark.parametrize(("guard", "name"), [(None, None), (lambda _: "shop", "shop")], ids=["open", "guarded"])
def test_a_call_bears_the_name_of_its_key(guard, name):
    """For the prediction log, on either way; nothing where no key is asked for."""
    app = answering(start(200), body(b"OK"))
    seen = []

    async def noting(scope, receive, send):
        seen.append(request_id.current_key.get())
        await app(scope, receive, send)

    driven = Driven(noting, "/predict", guard=guard)
    assert driven.scope.get(KEY) == app.scope.get(KEY) == app.scope[CALL].key == name
    assert seen == [name]


@pytest.mark.parametrize("said", [None, ""])
def test_a_call_without_a_key_bears_no_name(said):
    """Nor does it pass."""
    driven = Driven(answering(start(200), body(b"OK")), "/predict", guard=lambda _: said)
    assert driven.sent[0]["status"] == 401
    assert KEY not in driven.scope


def test_a_key_of_another_kind_is_told_so():
    """403 in our one shape, counted once by its reason, and noted apart from calls without a key."""
    sent, observed, noted = [], [], []

    async def send(message):
        sent.append(message)

    edge = Edge(answering(), KNOWN, lambda _, reason: observed.append(reason), {"/predict": lambda _: None})
    edge.knows = lambda _: "cases"
    edge.note_forbidden = lambda scope: noted.append(scope["path"])
    edge.note_unauthorized = lambda _: noted.append("unauthorized")
    scope = {"type": "http", "path": "/predict", "raw_path": b"/predict", "method": "POST", "headers": []}
    asyncio.run(edge(scope, None, send))
    assert (sent[0]["status"], observed, noted) == (403, ["forbidden"], ["/predict"])
    answer = json.loads(sent[1]["body"])
    assert (answer["error"].startswith("this key is of another kind"), answer["details"]) == (True, [])
