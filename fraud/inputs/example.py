"""A transaction that keeps every rule of a schema, where nothing but the schema is known."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fraud.schema import Column, Schema

INVENTED = "example-1"
"""An id, or a key."""
_MOMENT = datetime(2024, 5, 17, 12, 30, tzinfo=UTC)


def sent(schema: Schema) -> list[str]:
    """The columns that a request is to have; what is ignored is left out."""
    return [name for name, column in schema.columns.items() if column.kind != "ignored"]


def plain(schema: Schema, levels: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """One transaction as JSON has it, without an id; ``levels`` are those that a model knows."""
    return {name: value(schema.columns[name], levels.get(name, ())) for name in sent(schema)}


def value(column: Column, levels: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - JSON's
    """One of the column's, as JSON has it."""
    if column.kind == "key":
        return INVENTED
    if column.kind == "boolean":
        return False
    if column.kind == "category":
        return next(iter(column.levels or levels), "example")
    if column.kind == "number" or counts_seconds(column):
        return inside(1.0, column)
    return written(_MOMENT, column)


def counts_seconds(column: Column) -> bool:
    """Whether a time has bounds, and neither a format nor a zone: then it is a number, and no text."""
    is_number = column.format is None and column.zone is None
    return column.kind == "time" and is_number and (column.minimum is not None or column.maximum is not None)


def written(moment: datetime, column: Column) -> str:
    """A time as the column has it."""
    if column.format is not None:
        return moment.strftime(column.format)
    return moment.strftime("%Y-%m-%dT%H:%M:%S" if column.zone else "%Y-%m-%dT%H:%M:%SZ")


def inside(number: float, column: Column) -> float | int:
    """The number, or the bound that it is beyond; whole where it can be."""
    low, high = column.bounds
    found = min(max(number, low), high)
    return int(found) if found % 1 == 0 and abs(found) < 2**53 else found
