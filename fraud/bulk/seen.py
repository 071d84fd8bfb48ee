"""What was odd about the rows of a file: a model scores them all the same, and nobody would know."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraud.features import FeaturePath


class Seen:
    """Counts texts that the model has no code for, and looks for columns that hold nothing at all."""

    def __init__(self, features: FeaturePath) -> None:
        schema = features.schema
        self._categories = {name: schema.inputs.index(name) for name in schema.categories}
        self._names = schema.inputs
        self._unseen = dict.fromkeys(schema.categories, 0)
        self._empty = np.full(len(schema.inputs), fill_value=True)
        self._can_be = features.nullable or schema.categories

    def add(self, rows: NDArray[np.float64]) -> None:
        """Rows ``(n, inputs)`` of the model's own levels."""
        for name, place in self._categories.items():
            self._unseen[name] += int((rows[:, place] < 0).sum())
        if self._can_be:
            self._empty &= np.isnan(rows).all(axis=0)

    def told(self) -> dict[str, Any]:
        """For the answer; nothing where nothing was odd."""
        unseen = {name: count for name, count in self._unseen.items() if count}
        empty = [name for name, is_empty in zip(self._names, self._empty, strict=True) if is_empty and self._can_be]
        return {**({"unseen_levels": unseen} if unseen else {}), **({"empty_columns": empty} if empty else {})}
