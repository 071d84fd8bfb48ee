"""Bytes to rows and scores to bytes on BentoML's own path: what its API methods take and give.

BentoML calls ``from_http_request`` before a method and ``to_http_response`` after it; the schema of each class is what
``/docs.json`` shows.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Annotated, Any, ClassVar, TypeVar

import bentoml
import numpy as np
from annotated_types import MaxLen, MinLen
from numpy.typing import NDArray
from pydantic import ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fraud.rows import Rows, ScoredRow, pack
from fraud.schema import Label, Prediction, Predictions, Transaction
from serving import process, refuse
from serving.answer import answer_many, answer_one
from serving.decode import PREDICT_BYTES, parse_label, parse_many, parse_one
from serving.edge import refused
from serving.telemetry import request_id, tracing

T = TypeVar("T")

LOOP_BYTES, LOOP_ROWS = 1_048_576, 1_000
"""A larger body is read, and the scores of more rows are worded, in a thread: it would hold up other calls."""

_rows: ContextVar[Rows] = ContextVar("rows")  # of the call at hand, from its request to its response


async def _parsed(request: Request, limit: int, parse: Callable[[bytes], T]) -> T:
    """What ``parse`` makes of a body of ``limit`` bytes at most. Raises RefusedError, which the Edge then words."""
    try:
        media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if media_type != "application/json" or "content-encoding" in request.headers:
            raise refuse.not_json()
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise refuse.too_large(f"the body is larger than {limit} bytes")
        if len(body) > LOOP_BYTES:
            return await run_in_threadpool(parse, bytes(body))
        return parse(bytes(body))
    except refuse.RefusedError as refusal:
        refused(request.scope, refusal)  # where BentoML words the answer, the Edge does it again
        raise


def _answered(rows: Rows, scored: Sequence[ScoredRow], answer: str) -> Response:
    """Scores as JSON, once they are in the prediction log."""
    records = process.records()
    if records is not None:
        records.log.add_many(pack(rows.values), rows.ids, scored, request_id.current.get() or None)
    tracing.describe(rows=len(scored))
    return Response(answer, media_type="application/json")


class OnePrediction(bentoml.IODescriptor, Prediction):
    """The answer to one transaction."""

    @classmethod
    async def to_http_response(cls, scored: Sequence[ScoredRow], _serde: object) -> Response:
        """One row's score to JSON."""
        rows = _rows.get()
        return _answered(rows, scored, answer_one(scored[0], rows.ids[0]))


class ManyPredictions(bentoml.IODescriptor, Predictions):
    """The answers, in the order of the transactions."""

    @classmethod
    async def to_http_response(cls, scored: Sequence[ScoredRow], _serde: object) -> Response:
        """All rows' scores to JSON."""
        rows = _rows.get()
        if len(scored) > LOOP_ROWS:
            return _answered(rows, scored, await run_in_threadpool(answer_many, scored, rows.ids))
        return _answered(rows, scored, answer_many(scored, rows.ids))


class OneLabel(bentoml.IODescriptor, Label):
    """What a transaction turned out to be."""

    model_config = ConfigDict(json_schema_extra={"example": {"transaction_id": "tx-0001", "is_fraud": True}})
    __root_input__: ClassVar[bool] = True

    @classmethod
    async def from_http_request(cls, request: Request, _serde: object) -> Label:
        """Bytes to a label."""
        return await _parsed(request, PREDICT_BYTES, parse_label)


class LabelStored(bentoml.IODescriptor, Label):
    """The label as it is kept."""

    @classmethod
    async def to_http_response(cls, label: Label, _serde: object) -> Response:
        """The label to JSON."""
        return JSONResponse(label.model_dump())


def one_transaction(example: dict[str, Any]) -> type[bentoml.IODescriptor]:
    """What ``POST /predict`` takes, with an example for the documents."""

    class OneTransaction(bentoml.IODescriptor, Transaction):
        """One card transaction: a flat JSON object."""

        model_config = ConfigDict(json_schema_extra={"example": example})
        __root_input__: ClassVar[bool] = True

        @classmethod
        async def from_http_request(cls, request: Request, _serde: object) -> NDArray[np.float64]:
            """Bytes to a row ``(1, 30)``."""
            rows = await _parsed(request, PREDICT_BYTES, parse_one)
            _rows.set(rows)
            return rows.values

    return OneTransaction


def many_transactions(example: dict[str, Any], max_rows: int, max_bytes: int) -> type[bentoml.IODescriptor]:
    """What ``POST /predict_batch`` takes: at most so many rows and bytes."""

    class ManyTransactions(bentoml.IODescriptor):
        """Many card transactions."""

        model_config = ConfigDict(json_schema_extra={"example": {"transactions": [example]}}, extra="forbid")
        __root_input__: ClassVar[bool] = True

        transactions: Annotated[list[Transaction], MinLen(1), MaxLen(max_rows)]

        @classmethod
        async def from_http_request(cls, request: Request, _serde: object) -> NDArray[np.float64]:
            """Bytes to rows ``(n, 30)``."""
            rows = await _parsed(request, max_bytes, lambda body: parse_many(body, max_rows))
            _rows.set(rows)
            return rows.values

    return ManyTransactions
