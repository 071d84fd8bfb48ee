"""The HTTP contract as pydantic models: what a transaction, an answer, a label and an error look like.

Today it is that of the default schema.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.json_schema import SkipJsonSchema

from fraud.rows import ID_COLUMN
from fraud.schema import ID_PATTERN, default

_SCHEMA = default()
COLUMNS = _SCHEMA.inputs
"""The input columns, in the order of every row array."""


class _Strict(BaseModel):
    """JSON numbers only: no strings, booleans, NaN or infinities, and no unknown field."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def _input(name: str) -> Any:  # noqa: ANN401 - a field of pydantic
    """A column of the schema as a field."""
    column = _SCHEMA.columns[name]
    low, high = column.bounds
    return (Annotated[float, Field(ge=low, le=high, description=column.description)], ...)


Transaction = create_model(
    "Transaction",
    __base__=_Strict,
    __doc__="One card transaction, as ``POST /predict`` takes it.",
    **{name: _input(name) for name in COLUMNS},  # type: ignore[call-overload]
    **{
        ID_COLUMN: (
            Annotated[str, Field(pattern=ID_PATTERN)] | None,
            Field(default=None, description="Your own id; it comes back with the answer."),
        )
    },
)


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
