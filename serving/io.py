"""Bytes to rows and scores to bytes on BentoML's own path: what its API methods take and give, large ones in steps.

BentoML calls ``from_http_request`` before a method and ``to_http_response`` after it; the schema of each class is what
``/schema.json`` shows, which BentoML's own client reads; ``/docs.json`` is made by ``serving.openapi``.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, TypeVar

import bentoml
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fraud.rows import Decoded, Model, Rows, ScoredRow
from serving import process, refuse
from serving.answer import answer_many, answer_one
from serving.contract.models import Label, Prediction, Predictions, batch_of
from serving.decode import PREDICT_BYTES, Decoder, parse_label
from serving.edge import refused
from serving.telemetry import request_id, tracing

T = TypeVar("T")

_STEP_SECONDS = 0.0005
"""What a step should take: nobody else works for the while."""
_FIRST_ROWS, _FEWEST_ROWS = 64, 16

_turn = asyncio.Lock()
"""Of the large batches one is worked on at a time: with each more, a turn of the event loop would take longer."""

_one: ContextVar[Decoded] = ContextVar("one")  # of the call at hand, from its request to its response
_many: ContextVar[Rows] = ContextVar("many")


async def _body(request: Request, limit: int) -> bytes:
    """A JSON body of ``limit`` bytes at most. Raises RefusedError."""
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" or "content-encoding" in request.headers:
        raise refuse.not_json()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise refuse.too_large(f"the body is larger than {limit} bytes")
    return bytes(body)


@contextmanager
def _refusing(request: Request) -> Iterator[None]:
    """Where BentoML words the answer to a RefusedError, the Edge does it again."""
    try:
        yield
    except refuse.RefusedError as refusal:
        refused(request.scope, refusal)
        raise


def in_slices(
    rows: Rows, score: Callable[[Model, NDArray[np.float64]], list[ScoredRow]]
) -> Generator[Awaitable[object] | None, None, list[ScoredRow]]:
    """Scores of rows, in steps of as many as the steps before found time for."""
    scored, size = list[ScoredRow](), _FIRST_ROWS
    while True:
        began, start = time.perf_counter(), len(scored)
        values = rows.values[start : start + size]
        if (history := process.history()) is not None:
            texts, names = rows.texts[start : start + size], rows.ids[start : start + size]
            values = np.hstack((values, (yield from history.advance(values, texts, names))))
        scored += score(rows.model, values)
        if len(scored) == len(rows.ids):
            return scored
        found_time_for = int(size * _STEP_SECONDS / (time.perf_counter() - began))
        waits = history is not None and history.ROWS_AT_ONCE
        size = waits or max(_FEWEST_ROWS, min(found_time_for, 2 * size))
        yield


async def in_steps(steps: Generator[Awaitable[object] | None, None, T]) -> T:
    """What ``steps`` return; other calls are answered in between, and while what they yield is waited for."""
    try:
        step = next(steps)
        async with _turn:
            while True:
                await (step or asyncio.sleep(0))
                step = next(steps)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()  # a call that was given up leaves nothing half done until the garbage is looked through


def _answered(answer: str, rows: int) -> Response:
    tracing.describe(rows=rows)
    return Response(answer, media_type="application/json")


class OnePrediction(bentoml.IODescriptor, Prediction):
    """The answer to one transaction."""

    @classmethod
    async def to_http_response(cls, scored: Sequence[ScoredRow], _serde: object) -> Response:
        """One row's score to JSON, once it is in the prediction log."""
        decoded = _one.get()
        if (records := process.records()) is not None:
            records.log.add(decoded, scored[0], *request_id.of_call())
        return _answered(answer_one(scored[0], decoded.name), 1)


class ManyPredictions(bentoml.IODescriptor, Predictions):
    """The answers, in the order of the transactions."""

    @classmethod
    async def to_http_response(cls, scored: Sequence[ScoredRow], _serde: object) -> Response:
        """All rows' scores to JSON, once they are in the prediction log."""
        rows = _many.get()
        answer = await in_steps(answer_many(scored, rows.ids))
        if (records := process.records()) is not None:
            await in_steps(records.log.add_many(rows, scored, *request_id.of_call()))
        return _answered(answer, len(scored))


class OneLabel(bentoml.IODescriptor, Label):
    """What a transaction turned out to be."""

    model_config = ConfigDict(json_schema_extra={"example": {"transaction_id": "tx-0001", "is_fraud": True}})
    __root_input__: ClassVar[bool] = True

    @classmethod
    async def from_http_request(cls, request: Request, _serde: object) -> Label:
        """Bytes to a label."""
        with _refusing(request):
            return parse_label(await _body(request, PREDICT_BYTES))


class LabelStored(bentoml.IODescriptor, Label):
    """The label as it is kept."""

    @classmethod
    async def to_http_response(cls, label: Label, _serde: object) -> Response:
        """The label to JSON."""
        return JSONResponse(label.model_dump())


def one_transaction(decoder: Decoder, example: dict[str, Any]) -> type[bentoml.IODescriptor]:
    """What ``POST /predict`` takes, with an example for the documents."""
    transaction: Any = decoder.contract.transaction

    class OneTransaction(bentoml.IODescriptor, transaction):
        """One transaction: a flat JSON object."""

        model_config = ConfigDict(json_schema_extra={"example": example})
        __root_input__: ClassVar[bool] = True

        @classmethod
        async def from_http_request(cls, request: Request, _serde: object) -> NDArray[np.object_]:
            """Bytes to a transaction, ``(1,)``: BentoML joins arrays to a batch."""
            with _refusing(request):
                decoded = decoder.parse_one(await _body(request, PREDICT_BYTES))
            _one.set(decoded)
            alone = np.empty(1, dtype=object)
            alone[0] = decoded
            return alone

    return OneTransaction


def many_transactions(
    decoder: Decoder, example: dict[str, Any], max_rows: int, max_bytes: int
) -> type[bentoml.IODescriptor]:
    """What ``POST /predict_batch`` takes: at most so many rows and bytes."""
    transactions: Any = batch_of(decoder.contract.transaction, max_rows)

    class ManyTransactions(bentoml.IODescriptor, transactions):
        """Many transactions."""

        model_config = ConfigDict(json_schema_extra={"example": {"transactions": [example]}})
        __root_input__: ClassVar[bool] = True

        @classmethod
        async def from_http_request(cls, request: Request, _serde: object) -> Rows:
            """Bytes to transactions."""
            with _refusing(request):
                rows = await in_steps(decoder.parse_many(await _body(request, max_bytes), max_rows))
            _many.set(rows)
            return rows

    return ManyTransactions
