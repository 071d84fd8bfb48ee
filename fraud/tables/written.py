"""Columns of a table that is written: what is read again is equal."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fraud.schema import Column, Schema


def cells(values: NDArray[np.float64], column: Column) -> Any:  # noqa: ANN401 - what pandas takes as a column
    """Numbers of a row array ``(n,)``: times as timestamps where they have a zone or a form of text."""
    if column.kind == "time" and (column.format or column.zone):
        return pd.to_datetime(values, unit="s", utc=True)
    return values


def labels(frauds: NDArray[Any], schema: Schema) -> NDArray[Any]:
    """In the schema's words, ``(n,)``, of what is true or 1 for fraud."""
    fraud = schema.roles.fraud
    meanings = np.array((0, 1), dtype=np.int8) if fraud is None else np.array((f"not {fraud[0]}", fraud[0]))
    return meanings[frauds.astype(np.int8)]
