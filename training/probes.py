"""Made-up rows that a scorer must score exactly: the model carries them, and the service checks them at start."""

import numpy as np
from numpy.typing import NDArray

from fraud.features import FeaturePath
from fraud.inputs import derived, times
from fraud.inputs.levels import OTHER
from fraud.scorer import order
from fraud.scorer.forest import Forest

COUNT = 256


def make(rows: NDArray[np.float64], forest: Forest, features: FeaturePath, seed: int) -> NDArray[np.float64]:
    """Probe rows ``(2 * COUNT, features.width)`` that look like ``rows`` but are nobody's transaction.

    Each value is drawn on its own between the quantiles of its column; of a category, or a boolean, one of its values;
    one in so many as there are in the column is missing. In half of the rows one feature is then put on a split
    threshold of the forest or on the next float32 beside it, where an inexact scorer goes wrong.
    """
    schema, random = features.schema, np.random.default_rng(seed)
    columns = [schema.columns[name] for name in schema.inputs]
    drawn = [
        _chosen(values, random) if column.kind in ("category", "boolean") else _between(values, random)
        for values, column in zip(rows.T, columns, strict=False)
    ]
    drawn += [_between(values, random) for values in rows.T[len(columns) :]]
    probes = np.stack(drawn, axis=1)
    _put_on_thresholds(probes[COUNT:], forest, features, random)
    for values, column in zip(probes.T, columns, strict=False):
        if column.kind in ("number", "time"):
            np.clip(values, *column.bounds, out=values)
    return probes


def _between(values: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    grid, known = np.linspace(0, 1, 201), values[~np.isnan(values)]
    if not len(known):
        return np.full(2 * COUNT, np.nan)
    drawn: NDArray[np.float64] = np.interp(random.random(2 * COUNT), grid, np.quantile(known, grid))
    missing = 1 - len(known) / len(values)
    return np.where(random.random(2 * COUNT) < missing, np.nan, drawn) if missing else drawn


def _chosen(values: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    return random.choice(np.unique(values), 2 * COUNT)


def _put_on_thresholds(
    probes: NDArray[np.float64], forest: Forest, features: FeaturePath, random: np.random.Generator
) -> None:
    inner = np.flatnonzero(forest.nodes != order.LEAF)
    if not len(inner):
        return
    nodes = forest.nodes[random.choice(inner, size=len(probes))]
    for probe, column, cut in zip(probes, forest.features_of(nodes), order.thresholds(nodes), strict=True):
        beside = (cut, np.nextafter(cut, np.float32(np.inf)), np.nextafter(cut, np.float32(-np.inf)))
        value = float(beside[random.integers(3)])
        if column >= len(features.schema.features):
            continue  # a summary is made of all of the row
        if np.isinf(cut):  # missing values against all others
            value = np.nan
        place, value = source_of(features, int(column), value)
        probe[place] = value


def source_of(features: FeaturePath, column: int, value: float) -> tuple[int, float]:
    """The place in a row, and what to put there, so that a feature becomes ``value``, or as near to it as can be."""
    schema, name = features.schema, features.names[column]
    if name in schema.histories:
        return len(schema.inputs) + schema.histories.index(name), value
    made_of = {feature: (source, how) for feature, source, how in schema.derived}
    source, how = made_of.get(name, (name, None))
    place = schema.inputs.index(source)
    if np.isnan(value):
        return place, value
    if how is not None:
        return place, times.instant(derived.BY_NAME[how].inverse(value), schema.columns[source].zone)
    if name in features.encoding.columns:
        codes = features.encoding.columns[name]
        distances = np.abs(np.array([*codes.codes, codes.other]) - value)
        nearest = int(distances.argmin())
        return place, OTHER if nearest == len(codes.codes) else float(nearest)
    return place, float(round(value)) if schema.columns[name].kind == "boolean" else value
