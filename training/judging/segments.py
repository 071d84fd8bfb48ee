"""Figures of the parts of a data set: is the model as good for each channel, or each country?"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraud.errors import DataError
from fraud.schema import Schema
from training.dataset import Dataset
from training.judging import evaluate

MOST = 50
"""Segments that are judged, the largest; the others come together, as OTHER."""
MISSING, OTHER = "(missing)", "(other)"
"""In brackets: a level may be called so."""


def check(by: str | None, schema: Schema) -> None:
    """Raise DataError unless ``by`` is a category or a boolean."""
    known = schema.of_kind("category", "boolean")
    if by is not None and by not in known:
        there = ", ".join(known) or "none"
        raise DataError(f"--by {by}: expected a category or a boolean of the schema {schema.name}: {there}")


def figures(dataset: Dataset, scores: NDArray[np.float64], threshold: float, by: str) -> dict[str, Any]:
    """Rows, frauds and figures of merit of each value of ``by``, the largest first."""
    found: dict[str, Any] = {}
    for name, part in _segments(dataset, by):
        amounts = None if dataset.amounts is None else dataset.amounts[part]
        labels = dataset.labels[part]
        metrics = evaluate.evaluate(scores[part], labels, amounts, threshold).model_dump() if labels.any() else None
        found[name] = {"rows": int(part.sum()), "frauds": int(labels.sum()), "metrics": metrics}
    return found


def _segments(dataset: Dataset, by: str) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    values = dataset.rows[:, dataset.schema.inputs.index(by)]
    names = dataset.levels.get(by, ("false", "true"))
    counts = np.bincount(values[~np.isnan(values)].astype(np.int64), minlength=len(names))
    largest = [place for place in np.argsort(-counts, kind="stable") if counts[place]]
    for place in largest[:MOST]:
        yield names[place], values == place
    if len(largest) > MOST:
        yield OTHER, np.isin(values, largest[MOST:])
    if np.isnan(values).any():
        yield MISSING, np.isnan(values)
