"""The short cut answers what BentoML's path would, byte for byte, and hands back what it does not understand."""

import asyncio
import inspect
import json
from pathlib import Path
from typing import NamedTuple

import pytest
from _bentoml_impl.server.app import ServiceAppFactory
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml.exceptions import ServiceUnavailable
from starlette.responses import JSONResponse

from fraud import shortcut
from fraud.decode import decode_one, pack
from fraud.request import PREDICT_BYTES, RefusedError, parse_one
from fraud.shortcut import ShortCut, reason_against

SAMPLE = json.loads((Path(__file__).parents[2] / "sample_transaction.json").read_text())
BODY = json.dumps(SAMPLE).encode()
JSON = (b"content-type", b"application/json")


class Scored(NamedTuple):
    fraud_probability: float
    is_fraud: bool
    model_version: str


class Counts:
    """Keeps what it is told."""

    def __init__(self):
        self.in_progress, self.calls = 0, []

    def answered(self, status, seconds):
        self.calls.append((status, seconds))


class Driven:
    """What came of one call."""

    def __init__(self, messages=(), headers=(JSON,), method="POST", score=None, batching=True):
        self.sent, self.logged, self.observed, self.counts = [], [], [], Counts()
        self.gathered = 0
        self.scored, self._score = [], score or Scored(0.12, False, "v1")
        self._messages = list(messages) or [{"type": "http.request", "body": BODY, "more_body": False}]
        quick = ShortCut(
            at_once=self._at_once,
            gather=self._gather if batching else None,
            counts=self.counts,
            observe=lambda _, reason: self.observed.append(reason),
            log=lambda row, name, scored: self.logged.append((row, name, scored)),
            server="BentoML Service/fraud_detector",
            overloaded={"error": "busy", "details": []},
        )
        self.scope = {"type": "http", "method": method, "path": "/predict", "headers": list(headers)}
        self.heard = asyncio.run(self._run(quick))

    async def _run(self, quick):
        handed_back = await quick(self.scope, self._receive, self._send, 0.0)
        if handed_back is None:
            return None
        heard = []
        while not heard or self._messages:
            heard.append(await handed_back())
        return heard

    async def _gather(self, row):
        self.gathered += 1
        return self._at_once(row)

    def _at_once(self, row):
        self.scored.append(row)
        assert self.counts.in_progress == 1
        if isinstance(self._score, Exception):
            raise self._score
        return self._score

    async def _receive(self):
        return self._messages.pop(0)

    async def _send(self, message):
        self.sent.append(message)


def body(content, more=False):
    return {"type": "http.request", "body": content, "more_body": more}


@pytest.mark.parametrize("probability", [0.0, 1.0, 0.1, 1 / 3, 0.29, 5e-324, 0.30000000000000004])
@pytest.mark.parametrize("name", ["", "tx-1/a:b.c_D"])
@pytest.mark.parametrize("is_fraud", [True, False])
def test_the_answer_is_bentomls_byte_for_byte(probability, name, is_fraud):
    """What JSONResponse makes of the same answer: floats in every digit, the id only when there is one."""
    score = Scored(probability, is_fraud, "abc123")
    sent = body(json.dumps(SAMPLE | ({"transaction_id": name} if name else {})).encode())
    driven = Driven([sent], score=score)
    expected = JSONResponse(score._asdict() | ({"transaction_id": name} if name else {}))
    start, content = driven.sent
    assert content == {"type": "http.response.body", "body": expected.body}
    assert start["status"] == 200
    headers = dict(start["headers"])
    assert headers[b"content-length"] == str(len(expected.body)).encode()
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"server"] == b"BentoML Service/fraud_detector"
    assert len(headers[b"x-bentoml-request-id"]) == 16


def test_a_call_is_scored_logged_and_counted_once():
    """The row in every bit, the id, the score; one count of 200 and nothing in progress afterwards."""
    driven = Driven([body(json.dumps(SAMPLE | {"transaction_id": "a"}).encode())])
    assert driven.heard is None
    row = pack(parse_one(BODY).values)
    assert driven.scored == [row]
    assert driven.logged == [(row, "a", Scored(0.12, False, "v1"))]
    assert driven.observed == [None]
    assert [status for status, _ in driven.counts.calls] == [200]
    assert driven.counts.in_progress == 0


@pytest.mark.parametrize(
    ("batching", "alone", "gathered"), [(True, False, 1), (True, True, 0), (False, False, 0), (False, True, 0)]
)
def test_a_call_is_gathered_with_others_where_there_are_any(monkeypatch, batching, alone, gathered):
    """One that is alone, and any without batching, is scored at once; with the same answer."""
    monkeypatch.setattr(shortcut, "is_alone", lambda _: alone)
    driven = Driven(batching=batching)
    assert driven.gathered == gathered
    assert [message.get("status") for message in driven.sent] == [200, None]
    assert driven.logged


def test_a_failure_at_once_is_left_to_bentomls_path(monkeypatch):
    """As one among others is."""
    monkeypatch.setattr(shortcut, "is_alone", lambda _: True)
    driven = Driven(score=ArithmeticError())
    assert driven.heard == [body(BODY)]
    assert driven.sent == driven.logged == driven.observed == []


def test_a_shed_call_is_503_with_retry_after():
    """In our words, counted as overloaded by us and as 503 by BentoML's metrics, and not logged."""
    driven = Driven(score=ServiceUnavailable("process is overloaded"))
    start, content = driven.sent
    assert start["status"] == 503
    assert (b"retry-after", b"1") in start["headers"]
    assert json.loads(content["body"]) == {"error": "busy", "details": []}
    assert driven.observed == ["overloaded"]
    assert [status for status, _ in driven.counts.calls] == [503]
    assert driven.logged == []


NOT_UNDERSTOOD = {
    "not JSON": body(b"{"),
    "empty": body(b""),
    "an array": body(b"[]"),
    "a field too few": body(json.dumps({name: value for name, value in SAMPLE.items() if name != "V7"}).encode()),
    "a field too many": body(json.dumps(SAMPLE | {"x": 1}).encode()),
    "text for a number": body(json.dumps(SAMPLE | {"V1": "1"}).encode()),
    "a repeated field": body(BODY[:-1] + b', "V1": 1}'),
    "an empty id": body(json.dumps(SAMPLE | {"transaction_id": ""}).encode()),
    "out of bounds": body(json.dumps(SAMPLE | {"V3": 1e40}).encode()),
    "too large": body(BODY + b" " * 20_000),
    "the beginning": body(BODY[:20], more=True),
    "a hang-up": {"type": "http.disconnect"},
}


@pytest.mark.parametrize("message", NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD)
def test_what_is_not_understood_is_handed_back_whole(message):
    """BentoML's path hears the same messages from the first one; nothing was sent, scored, logged or counted."""
    after = body(b"rest")
    driven = Driven([message, after])
    assert driven.heard == [message, after]
    assert (driven.sent, driven.scored, driven.logged, driven.observed, driven.counts.calls) == ([], [], [], [], [])
    assert driven.counts.in_progress == 0


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", [JSON]),
        ("POST", [(b"content-type", b"text/plain")]),
        ("POST", [(b"content-type", b"application/vnd.bentoml+pickle")]),
        ("POST", [(b"content-type", b"application/json; charset=utf-8")]),
        ("POST", [JSON, (b"content-encoding", b"gzip")]),
    ],
)
def test_another_kind_of_call_is_handed_back_unread(method, headers):
    """Not even its body was asked for."""
    driven = Driven(method=method, headers=headers)
    assert driven.heard == [body(BODY)]
    assert driven.sent == []


def test_without_a_content_type_it_is_json():
    """As on BentoML's path."""
    assert Driven(headers=[]).heard is None


def test_a_failure_is_left_to_bentomls_path():
    """It tries again, logs the traceback and words the answer."""
    driven = Driven([body(BODY)], score=ArithmeticError("broken"))
    assert driven.heard == [body(BODY)]
    assert driven.sent == driven.logged == driven.observed == []
    assert driven.counts.in_progress == 0


def test_a_slow_body_is_waited_for_on_bentomls_path(monkeypatch):
    """After the patience nothing is lost: what comes then is heard there."""

    async def late():
        await asyncio.sleep(0.2)
        return body(BODY)

    calls = []

    async def receive():
        calls.append(1)
        return await late()

    async def run():
        quick = ShortCut(None, None, Counts(), None, None, "x", {})
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": [JSON]}
        handed_back = await quick(scope, receive, None, 0.0)
        return await handed_back()

    monkeypatch.setattr(shortcut, "PATIENCE_SECONDS", 0.05)
    assert asyncio.run(run()) == body(BODY)
    assert len(calls) == 2


@pytest.mark.parametrize("message", [one for one in NOT_UNDERSTOOD.values() if "body" in one and not one["more_body"]])
def test_reading_quickly_takes_no_more_than_reading(message):
    """Whatever parse_one refuses, decode_one does not take."""
    if len(message["body"]) <= PREDICT_BYTES:
        assert decode_one(message["body"]) is None
        with pytest.raises(RefusedError):
            parse_one(message["body"])


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


def test_bentomls_names_are_what_the_short_cut_builds_on():
    """After an upgrade of BentoML: is what the short cut leaves out still all that the middleware does?"""
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
    for name in ("batch_infer", "adaptive_batch_size_hist", "create_instance", "api_endpoint"):
        assert hasattr(ServiceAppFactory, name), f"ServiceAppFactory.{name} is gone"
    assert "_service_instance" in inspect.getsource(ServiceAppFactory.__init__)
