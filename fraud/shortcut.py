"""A short way for ``POST /predict``: from the Edge to the batcher and back, past BentoML's middleware.

    Edge -> ShortCut -> PromptDispatcher -> FraudDetector's scoring -> the answer's bytes

It serves only what it understands whole: a plain JSON call whose body is there and valid. Anything else, and anything
that fails, is handed back with what was read of it, and BentoML's own path serves, words and counts it. What is
answered here is counted in BentoML's own metrics too (``monitoring.builtin``). What BentoML's middleware would do
beyond that is looked for when the service starts, and where it is asked for there is no short cut: ``reason_against``.
Names of BentoML's own are touched here; ``tests/fraud/test_shortcut.py`` names each.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from random import getrandbits
from typing import Any, Protocol

from _bentoml_impl.server.app import ServiceAppFactory
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml.exceptions import ServiceUnavailable

from fraud.answer import answer_one
from fraud.decode import Packed, decode_one
from fraud.dispatch import PromptDispatcher
from fraud.edge import RETRY_AFTER_SECONDS, Message, Receive, Scope, Send
from fraud.request import PREDICT_BYTES
from fraud.schema import Score
from fraud.wire import answer_at_once, body_is_there, is_alone

PATIENCE_SECONDS = 1.0
"""A body that has not come by then is waited for on BentoML's path, which has the timeout."""


class Counts(Protocol):
    """Who is told of each call answered here, by HTTP status, and how many are under way."""

    in_progress: int

    def answered(self, status: int, seconds: float) -> None: ...


class ShortCut:
    """Answers calls of ``/predict``.

    ``at_once(row)`` gives the row's score. ``gather(row)`` does where other calls are under way, or raises
    ServiceUnavailable when the row is shed; None without batching. ``log(row, id, score)``: told of what is answered
    with scores. ``observe(seconds, reason)``: told of each call, as the Edge's. ``server``: the value of the Server
    header.
    """

    def __init__(
        self,
        at_once: Callable[[Packed], Score],
        gather: Callable[[Packed], Awaitable[Score]] | None,
        counts: Counts,
        observe: Callable[[float, str | None], None],
        log: Callable[[Packed, str, Any], None] | None,
        server: str,
        overloaded: dict[str, Any],
    ) -> None:
        self._at_once = at_once
        self._gather = gather
        self._counts = counts
        self._observe = observe
        self._log = log
        self._server = (b"server", server.encode())
        self._overloaded = json.dumps(overloaded, separators=(",", ":")).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send, started: float) -> Receive | None:
        """Answer the call and return None; or a ``receive`` from which BentoML's path hears it from its beginning."""
        if not _is_plain(scope):
            return receive
        try:
            message = await (receive() if body_is_there(receive) else asyncio.wait_for(receive(), PATIENCE_SECONDS))
        except TimeoutError:
            return receive
        given = _read(message)
        if given is None:
            return _again(message, receive)
        row, name = given
        self._counts.in_progress += 1
        try:
            if self._gather is None or is_alone(receive):
                score = self._at_once(row)
            else:
                score = await self._gather(row)
        except ServiceUnavailable:
            await self._send(send, 503, self._overloaded, started)
            self._observe(time.perf_counter() - started, "overloaded")
            return None
        except Exception:  # noqa: BLE001 - BentoML's path tries again, logs it and words it
            return _again(message, receive)
        finally:
            self._counts.in_progress -= 1
        if self._log is not None:
            self._log(row, name, score)
        await self._send(send, 200, answer_one(score, name).encode(), started)
        self._observe(time.perf_counter() - started, None)
        return None

    async def _send(self, send: Send, status: int, body: bytes, started: float) -> None:
        headers = [
            (b"content-length", b"%d" % len(body)),
            (b"content-type", b"application/json"),
            self._server,
            (b"x-bentoml-request-id", b"%016x" % getrandbits(64)),
        ]
        if status == 503:
            headers.append((b"retry-after", b"%d" % RETRY_AFTER_SECONDS))
        await answer_at_once(send, status, headers, body)
        self._counts.answered(status, time.perf_counter() - started)


def _is_plain(scope: Scope) -> bool:
    """Whether it is a POST of plain JSON, said in the usual way."""
    if scope["method"] != "POST":
        return False
    media_type = b"application/json"
    for name, value in scope["headers"]:
        if name == b"content-type":
            media_type = value
        elif name == b"content-encoding":
            return False
    return bool(media_type == b"application/json")


def _read(message: Message) -> tuple[Packed, str] | None:
    """Row and id of a call that is there as a whole and valid."""
    if message["type"] != "http.request" or message.get("more_body", False):
        return None
    body = message["body"]
    return decode_one(body) if len(body) <= PREDICT_BYTES else None


def _again(message: Message, receive: Receive) -> Receive:
    """``receive`` that gives ``message`` first."""
    waiting = [message]

    async def heard() -> Message:
        return waiting.pop() if waiting else await receive()

    return heard


def batcher(
    score: Callable[[Sequence[Packed]], Sequence[Any]],
    sized: Callable[[int], None],
    *,
    max_latency_ms: int,
    max_batch_size: int,
) -> PromptDispatcher:
    """What gathers rows and scores them together; ``sized`` is told how many each time."""

    def scored(rows: list[Packed]) -> Sequence[Any]:
        sized(len(rows))
        return score(rows)

    return PromptDispatcher(scored, max_latency_ms=max_latency_ms, max_batch_size=max_batch_size)


def reason_against(factory: ServiceAppFactory) -> str | None:
    """Why the short cut must not be taken: something is asked of BentoML's middleware that it would leave out."""
    config = BentoMLContainer.config
    reasons = {
        "metrics are off": not factory.enable_metrics,
        "tracing is on": bool(config.tracing.exporter_type.get()),
        "CORS is on": factory.enable_access_control,
        "traffic.max_concurrency is set": bool(factory.max_concurrency),
        "the access log is on": BentoMLContainer.api_server_config.logging.access.enabled.get(),
        "trace ids are to be answered": BentoMLContainer.http.response.trace_id.get(),
        "the service has middleware of its own": bool(factory.service.middlewares),
        "the service has a path prefix": bool(factory.service.path_prefix),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)
