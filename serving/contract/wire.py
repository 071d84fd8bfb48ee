"""How a value of each kind stands in JSON: for msgspec, which is quick, for pydantic, which words, and as a number.

A new kind is an entry of ``_KINDS`` here.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta, Raw
from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from fraud.inputs import times
from fraud.inputs.example import counts_seconds
from fraud.inputs.levels import OTHER, same
from fraud.schema import LONGEST_TEXT, Column, Kind

LONGEST_TIME = 64
"""Characters."""

Convert = Callable[[Any], float | None]
"""The number that a row array holds for a value; None where it breaks a rule after all."""


@dataclass(frozen=True)
class Wire:
    """``quick`` and ``strict`` are what msgspec and pydantic call the type. Without ``convert`` a value is a number.
    ``known``: texts that need no ``convert``, with their numbers.

    A value that ``quick`` takes and ``convert`` has a number for is one that ``strict`` takes.
    """

    quick: Any
    strict: Any
    convert: Convert | None = None
    known: Mapping[str, float] | None = None


def wire_of(column: Column, levels: tuple[str, ...]) -> Wire:
    """That of a column; ``levels`` are those that the model knows of a category."""
    return _KINDS[column.kind](column, levels)


def may_be_absent(column: Column) -> bool:
    """Whether a value may be absent, or null."""
    return column.missing or column.kind == "ignored"


def _number(column: Column, _: tuple[str, ...]) -> Wire:
    low, high = column.bounds
    return Wire(Annotated[float, Meta(ge=low, le=high)], Annotated[float, Field(ge=low, le=high)])


def _boolean(_column: Column, _: tuple[str, ...]) -> Wire:
    return Wire(bool, bool)


def _category(column: Column, levels: tuple[str, ...]) -> Wire:
    places = {level: float(place) for place, level in enumerate(levels)}

    def convert(text: str) -> float:
        place = places.get(text)
        return places.get(same(text), OTHER) if place is None else place

    if column.levels is not None:
        declared: Any = Literal[column.levels]
        return Wire(declared, declared, convert, places)
    return Wire(
        Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)],
        Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)],
        convert,
        places,
    )


def _time(column: Column, levels: tuple[str, ...]) -> Wire:
    if counts_seconds(column):
        return _number(column, levels)
    low, high = column.bounds
    texts_only = column.format is not None

    def second(value: float | str) -> float:
        return times.second(value, column.format, column.zone) if isinstance(value, str) else float(value)

    def convert(value: float | str) -> float | None:
        found = second(value)
        return found if low <= found <= high else None

    def check(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, str if texts_only else str | int | float):
            raise PydanticCustomError("time", words)
        if isinstance(value, str) and len(value) > LONGEST_TIME:
            raise PydanticCustomError("time", words)
        try:
            found = second(value)
        except OverflowError:  # an integer beyond every float
            found = math.inf
        if math.isnan(found):
            raise PydanticCustomError("time", words)
        if not low <= found <= high:
            raise PydanticCustomError("time_bounds", f"should be from {low:g} to {high:g} seconds since 1970")
        return value

    form = "in ISO 8601, or seconds since 1970" if column.format is None else f"written {column.format}"
    words = (
        f"should be a time {form}{'' if column.zone or '%z' in (column.format or '') else ', with its offset from UTC'}"
    )
    text: Any = Annotated[str, Meta(max_length=LONGEST_TIME)]
    told: dict[str, Any] = {
        "type": "string",
        "maxLength": LONGEST_TIME,
        "description": words.removeprefix("should be "),
    }
    if column.format is None:
        told["format"] = "date-time"
    either = {"anyOf": [told, {"type": "number", "minimum": low, "maximum": high}]}
    return Wire(
        text if texts_only else text | float,
        Annotated[Any, PlainValidator(check), WithJsonSchema(told if texts_only else either)],
        convert,
    )


def _key(_column: Column, _: tuple[str, ...]) -> Wire:
    return Wire(
        Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)],
        Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)],
        lambda _: math.nan,  # no input
    )


def _ignored(_column: Column, _: tuple[str, ...]) -> Wire:
    def pass_over(value: object) -> float | None:
        """msgspec does not look into what it passes over: what is not plainly valid is read slowly."""
        if isinstance(value, Raw):
            text = bytes(value)
            if text[:1] in (b"{", b"[") or len(text) > LONGEST_TEXT:
                return None
            try:
                text.decode()
            except UnicodeDecodeError:
                return None
        return None if isinstance(value, float) and not math.isfinite(value) else math.nan  # pydantic takes NaN

    return Wire(Raw, Any, pass_over)


_KINDS: Mapping[Kind, Callable[[Column, tuple[str, ...]], Wire]] = {
    "number": _number,
    "boolean": _boolean,
    "category": _category,
    "time": _time,
    "key": _key,
    "ignored": _ignored,
}
