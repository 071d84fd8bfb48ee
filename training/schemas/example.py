"""A request that keeps every rule of a schema, for a first call of ``/predict`` and for documents."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fraud.errors import DataError
from fraud.inputs import example as plain
from fraud.schema import Column, Schema
from fraud.tables import kinds
from training.schemas.collect import collect
from training.schemas.column_facts import ColumnFacts


def example(schema: Schema, file: Path | str | None = None) -> dict[str, Any]:
    """One transaction as JSON has it. Raises DataError when the file lacks a column that the schema needs.

    With ``file`` each value is the middle one of its column: the median, or the level met most often. It is no row of
    the file. Ids and keys are invented.
    """
    found = collect([file], None) if file is not None else None
    facts = found.columns if found else {}
    absent = [name for name in schema.inputs if found and name not in facts and not schema.columns[name].missing]
    if absent:
        raise DataError(f"{file}: the schema's {', '.join(absent)} is not in the file")
    request = {name: _value(schema, name, facts.get(name)) for name in plain.sent(schema)}
    return request | ({schema.roles.id: plain.INVENTED} if schema.roles.id else {})


def _value(schema: Schema, name: str, facts: ColumnFacts | None) -> Any:  # noqa: ANN401 - JSON's
    column = schema.columns[name]
    if column.kind == "key":
        return plain.INVENTED
    if facts is None or facts.missing == facts.rows:
        return plain.value(column)
    if column.kind == "number":
        return plain.inside(_median(facts), column)
    if column.kind == "time":
        return _time(facts, column)
    most = _most_frequent(facts, schema.stands_for_missing(column.kind))
    if column.kind == "boolean":
        return bool(kinds.truths(pd.Series([most]))[0] == 1)
    return most if column.levels is None or most in column.levels else column.levels[0]


def _time(facts: ColumnFacts, column: Column) -> Any:  # noqa: ANN401
    """The middle of the times, as the file writes them."""
    if facts.is_all_numbers and column.format is None:
        return plain.inside(round(_median(facts)), column)
    span = facts.times.span
    if span is None:
        return plain.value(column)
    middle = (span.earliest + (span.latest - span.earliest) / 2).round("s").to_pydatetime()
    return plain.written(middle, column)


def _median(facts: ColumnFacts) -> float:
    numbers, order = facts.sorted_numbers()
    if not len(order):
        return 0.0
    share = np.cumsum(facts.distinct.rows[order])
    return float(numbers[order[np.searchsorted(share, share[-1] / 2)]])


def _most_frequent(facts: ColumnFacts, missing: tuple[str, ...]) -> str:
    top = facts.distinct.most_frequent(len(missing) + 1)
    return next((text for text, _ in top if text.strip() not in missing), "example")
