"""The contract of a transaction and of a prediction. Column lists are derived from here, never repeated."""

import hashlib
import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.json_schema import SkipJsonSchema

LABEL = "Class"
ID_COLUMN = "transaction_id"
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$"

_Seconds = Annotated[float, Field(ge=0, le=1e11, description="Seconds since the first transaction of the data.")]
_Component = Annotated[float, Field(ge=-1e6, le=1e6, description="Principal component, as the card network gives it.")]
_Amount = Annotated[float, Field(ge=0, le=1e9, description="Amount in the account's currency, not negative.")]


class _Strict(BaseModel):
    """JSON numbers only: no strings, booleans, NaN or infinities, and no unknown field."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


Transaction = create_model(
    "Transaction",
    __base__=_Strict,
    __doc__="One card transaction, as ``POST /predict`` takes it.",
    Time=_Seconds,
    **{f"V{number}": _Component for number in range(1, 29)},  # type: ignore[call-overload]
    Amount=_Amount,
    transaction_id=(
        Annotated[str, Field(pattern=ID_PATTERN)] | None,
        Field(default=None, description="Your own id; it comes back with the answer."),
    ),
)

COLUMNS: tuple[str, ...] = tuple(name for name in Transaction.model_fields if name != ID_COLUMN)
"""The 30 numeric input columns, in the order of every row array."""


def _never_null(told: dict[str, Any]) -> None:
    """In the document a field that may be absent has no null as its default."""
    del told["default"]


class Prediction(BaseModel):
    """The answer to one transaction."""

    model_config = ConfigDict(frozen=True)

    fraud_probability: float = Field(ge=0, le=1, description="Mean vote of the trees.")
    is_fraud: bool = Field(description="Whether the probability reaches the model's threshold.")
    model_version: str = Field(description="Version of the model that scored it.")
    transaction_id: str | SkipJsonSchema[None] = Field(
        None,
        description="The id given with the transaction; absent when none was given.",
        json_schema_extra=_never_null,
    )


class Label(_Strict):
    """What a transaction turned out to be, as ``POST /feedback`` takes it."""

    transaction_id: str = Field(pattern=ID_PATTERN, description="The id that was given with the transaction.")
    is_fraud: bool = Field(description="Whether it was fraud.")


class Predictions(BaseModel):
    """The answers to many transactions, in their order."""

    model_config = ConfigDict(frozen=True)

    predictions: list[Prediction]


class ErrorDetail(BaseModel):
    """One problem of a refused call."""

    field: str = Field(description="The field at fault; in a batch with the place of its row: ``transactions.3.NAME``.")
    message: str = Field(description="What is wrong with it.")


class Error(BaseModel):
    """The one shape of every error answer."""

    error: str = Field(description="What is wrong, and what to do.")
    details: list[ErrorDetail] = Field(description="The fields at fault, at most 20; empty where none is.")


def batch_of(max_rows: int) -> type[BaseModel]:
    """The model of many transactions, 1 to ``max_rows``, as ``POST /predict_batch`` takes them."""
    rows = Field(min_length=1, max_length=max_rows, description="The transactions; they are answered in this order.")
    return create_model(
        "Transactions",
        __base__=_Strict,
        __doc__="Many card transactions.",
        transactions=(list[Transaction], rows),
    )


def bounds(column: str) -> tuple[float, float]:
    """Lowest and highest value that ``column`` may hold, in its own unit."""
    limits: dict[str, Any] = {}
    for rule in Transaction.model_fields[column].metadata:
        for side in ("ge", "le"):
            if hasattr(rule, side):
                limits[side] = getattr(rule, side)
    return float(limits["ge"]), float(limits["le"])


def schema_hash() -> str:
    """SHA-256 over the columns and their bounds; a model and a service that differ in it must not meet."""
    facts = [[column, *bounds(column)] for column in COLUMNS]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
