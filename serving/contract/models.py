"""The HTTP contract as pydantic models: what a transaction, an answer, a label and an error look like."""

import keyword
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from bentoml import IODescriptor
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.json_schema import SkipJsonSchema

from fraud.schema import ID_PATTERN, Column, Schema
from serving.contract.wire import Wire, may_be_absent


class _Strict(BaseModel):
    """JSON numbers only: no strings, booleans, NaN or infinities, and no unknown field."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=(), validate_by_name=False
    )


def transaction_of(schema: Schema, wires: Mapping[str, Wire], id_name: str, names: Sequence[str]) -> type[BaseModel]:
    """The model of one transaction, as ``POST /predict`` takes it: the columns of ``wires``, then the id.

    ``names`` are those of its fields in Python.
    """
    fields = {
        field: _field(name, schema.columns[name], wire)
        for field, (name, wire) in zip(names, wires.items(), strict=False)
    }
    described = Field(None, alias=id_name, description="Your own id; it comes back with the answer.")
    fields[names[-1]] = (Annotated[str, Field(pattern=ID_PATTERN)] | None, described)
    return create_model(
        "Transaction",
        __base__=_Strict,
        __doc__="One transaction, as ``POST /predict`` takes it.",
        **fields,
    )


def field_names(names: Sequence[str]) -> tuple[str, ...]:
    """What columns are called in Python: their own names where these can be."""
    return tuple(name if _can_be(name) else unlike(f"column_{place}", names) for place, name in enumerate(names))


def _can_be(name: str) -> bool:
    is_name = name.isidentifier() and not keyword.iskeyword(name)
    return is_name and not name.startswith("_") and not hasattr(IODescriptor, name)


def unlike(name: str, others: Sequence[str]) -> str:
    """The name, with underscores behind it until it is none of ``others``."""
    while name in others:
        name += "_"
    return name


def _field(name: str, column: Column, wire: Wire) -> Any:  # noqa: ANN401 - a field of pydantic
    described = column.description or None
    if may_be_absent(column):
        return wire.strict | None, Field(None, alias=name, description=described)
    return wire.strict, Field(alias=name, description=described)


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


def batch_of(transaction: type[BaseModel], max_rows: int) -> type[BaseModel]:
    """The model of many of these transactions, 1 to ``max_rows``, as ``POST /predict_batch`` takes them."""
    rows = Field(min_length=1, max_length=max_rows, description="The transactions; they are answered in this order.")
    return create_model(
        "Transactions",
        __base__=_Strict,
        __doc__="Many transactions.",
        transactions=(list[transaction], rows),  # type: ignore[valid-type]
    )
