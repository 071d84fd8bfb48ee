"""Rows of a data set as requests: what a caller would have sent."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from fraud.inputs import times
from fraud.inputs.example import INVENTED
from fraud.rows import ID_COLUMN
from fraud.schema import Column
from training.dataset import Dataset


def requests(dataset: Dataset, indices: Sequence[int], prefix: str) -> list[dict[str, Any]]:
    """One for each of ``indices``, with the id ``prefix-index``; what is missing is left out."""
    schema = dataset.schema
    found = []
    for index in indices:
        row = {
            name: _value(dataset, name, float(value))
            for name, value in zip(schema.inputs, dataset.rows[index], strict=False)
        }
        row |= {name: _key(dataset, name, index) for name in schema.of_kind("key")}
        row[schema.roles.id or ID_COLUMN] = f"{prefix}-{index}"
        found.append({name: value for name, value in row.items() if value is not None})
    return found


def _value(dataset: Dataset, name: str, value: float) -> Any:  # noqa: ANN401 - JSON's
    column = dataset.schema.columns[name]
    if np.isnan(value):
        return None
    if column.kind == "category":
        return dataset.levels[name][int(value)]
    if column.kind == "boolean":
        return bool(value)
    return _time(column, value) if column.kind == "time" and column.format else value


def _time(column: Column, seconds: float) -> str:
    zone = times.zone_of(column.zone or "UTC")
    return datetime.fromtimestamp(seconds, zone).strftime(str(column.format))


def _key(dataset: Dataset, name: str, index: int) -> str | None:
    others = dataset.others
    kept = others[name].iloc[index] if others is not None and name in others else None
    if not pd.isna(kept) and (text := str(kept).strip()):
        return text
    return None if dataset.schema.columns[name].missing else INVENTED
