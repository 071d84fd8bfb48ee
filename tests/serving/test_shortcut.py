"""The short cut answers what BentoML's path would, byte for byte, and hands back what it does not understand."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from starlette.responses import JSONResponse

from fraud.rows import ScoredRow, pack
from serving import shortcut
from serving.decode import PREDICT_BYTES
from serving.edge import send_in_two
from serving.refuse import RefusedError, not_ready, overloaded
from serving.shortcut import ShortCut
from tests.serving.decoding import decode_one, parse_one

SAMPLE = json.loads((Path(__file__).parents[2] / "sample_transaction.json").read_text())
BODY = json.dumps(SAMPLE).encode()
JSON = (b"content-type", b"application/json")
TRACE = b"0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = (b"traceparent", b"00-%b-b7ad6b7169203331-01" % TRACE)


class Counts:
    """Keeps what it is told."""

    def __init__(self):
        self.in_progress, self.calls = 0, []

    def answered(self, status, seconds):
        self.calls.append((status, seconds))


class Driven:
    """What came of one call."""

    def __init__(self, messages=(), headers=(JSON,), method="POST", score=None):
        self.sent, self.logged, self.observed, self.counts = [], [], [], Counts()
        self.alone, self.refused = [], []
        self.scored, self._answer = [], score or ScoredRow(0.12, False, "v1")
        self._messages = list(messages) or [{"type": "http.request", "body": BODY, "more_body": False}]
        quick = ShortCut(
            decode=decode_one,
            score=self._score,
            counts=self.counts,
            observe=lambda _, reason: self.observed.append(reason),
            log=lambda decoded, *more: self.logged.append((decoded.row, decoded.name, *more)),
            send=send_in_two,
            server="BentoML Service/fraud_detector",
            refused=lambda scope, status, reason, own: self.refused.append((scope, status, reason, own)),
        )
        self.scope = {"type": "http", "method": method, "path": "/predict", "headers": list(headers)}
        self.heard = asyncio.run(self._run(quick))

    @property
    def request_id(self):
        """That of the answer."""
        return dict(self.sent[0]["headers"])[b"x-request-id"].decode()

    async def _run(self, quick):
        handed_back = await quick(self.scope, self._receive, self._send, 0.0)
        if handed_back is None:
            return None
        heard = []
        while not heard or self._messages:
            heard.append(await handed_back())
        return heard

    async def _score(self, row, alone):
        self.alone.append(alone)
        self.scored.append(row)
        assert self.counts.in_progress == 1
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

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
    score = ScoredRow(probability, is_fraud, "abc123", b"features")
    sent = body(json.dumps(SAMPLE | ({"transaction_id": name} if name else {})).encode())
    driven = Driven([sent], score=score)
    told = {one: getattr(score, one) for one in ScoredRow._fields[:3]}
    expected = JSONResponse(told | ({"transaction_id": name} if name else {}))
    start, content = driven.sent
    assert content == {"type": "http.response.body", "body": expected.body}
    assert start["status"] == 200
    headers = dict(start["headers"])
    assert headers[b"content-length"] == str(len(expected.body)).encode()
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"server"] == b"BentoML Service/fraud_detector"
    assert re.fullmatch(rb"[0-9a-f]{32}", headers[b"x-request-id"])


def test_a_call_is_scored_logged_and_counted_once():
    """The row in every bit, the id, the score; one count of 200 and nothing in progress afterwards."""
    driven = Driven([body(json.dumps(SAMPLE | {"transaction_id": "a"}).encode())])
    assert driven.heard is None
    row = pack(parse_one(BODY).values)
    assert [decoded.row for decoded in driven.scored] == [row]
    assert driven.logged == [(row, "a", ScoredRow(0.12, False, "v1"), driven.request_id, None)]
    assert driven.observed == [None]
    assert [status for status, _ in driven.counts.calls] == [200]
    assert driven.counts.in_progress == 0


@pytest.mark.parametrize("alone", [False, True])
def test_who_scores_is_told_whether_a_call_is_alone(monkeypatch, alone):
    """So that it is gathered with others where there are any; the answer is the same."""
    monkeypatch.setattr(shortcut, "is_alone", lambda _: alone)
    driven = Driven()
    assert driven.alone == [alone]
    assert [message.get("status") for message in driven.sent] == [200, None]
    assert driven.logged


@pytest.mark.parametrize("make", [overloaded, not_ready])
def test_a_refused_call_is_503_with_retry_after(make):
    """In our words, counted under its reason by us and as 503 by BentoML's metrics, and not logged."""
    driven = Driven(score=make())
    start, content = driven.sent
    assert start["status"] == 503
    assert (b"retry-after", b"1") in start["headers"]
    assert content["body"] == make().body()
    assert driven.observed == [make().reason]
    assert [status for status, _ in driven.counts.calls] == [503]
    assert driven.logged == []


@pytest.mark.parametrize("score", [None, overloaded()], ids=["scored", "refused"])
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"x-request-id", b"id-1")], b"id-1"),
        ([(b"x-request-id", b"id-1"), TRACEPARENT], b"id-1"),
        ([TRACEPARENT], TRACE),
        ([(b"x-request-id", b'no"t sound')], None),
    ],
)
def test_a_call_has_one_id_from_its_header_to_its_end(headers, expected, score):
    """In the answer, in the prediction log, and told with a refusal; a fresh one where the caller's is not sound."""
    driven = Driven(headers=[*headers, JSON], score=score)
    own = driven.request_id
    assert own == expected.decode() if expected else re.fullmatch("[0-9a-f]{32}", own)
    assert [logged[3] for logged in driven.logged] == ([] if score else [own])
    assert driven.refused == ([(driven.scope, 503, "overloaded", own)] if score else [])


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
        ("POST", [JSON, (b"content-encoding", b"gzip")]),
    ],
)
def test_another_kind_of_call_is_handed_back_unread(method, headers):
    """Not even its body was asked for."""
    driven = Driven(method=method, headers=headers)
    assert driven.heard == [body(BODY)]
    assert driven.sent == []


@pytest.mark.parametrize(
    "said", [None, b"application/json; charset=utf-8", b"application/json;charset=UTF-8", b"Application/JSON ; x=y"]
)
def test_json_said_in_any_way_is_taken(said):
    """Without a word of it, and as .NET, OkHttp and Spring say it."""
    assert Driven(headers=[(b"content-type", said)] if said else []).heard is None


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
        quick = ShortCut(decode_one, None, Counts(), None, None, send_in_two, "x")
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
