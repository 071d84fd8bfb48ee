"""Made-up rows that a scorer must score exactly: the model carries them, and the service checks them at start."""

import numpy as np
from numpy.typing import NDArray

from fraud.features import FEATURES
from fraud.schema import COLUMNS, bounds
from fraud.scorer import order
from fraud.scorer.forest import Forest

COUNT = 256


def make(rows: NDArray[np.float64], forest: Forest, seed: int) -> NDArray[np.float64]:
    """Probe rows ``(2 * COUNT, 30)`` that look like ``rows`` but are nobody's transaction.

    Each value is drawn on its own between the quantiles of its column. In half of the rows one value is then put on a
    split threshold of the forest or on the next float32 beside it, where an inexact scorer goes wrong.
    """
    random = np.random.default_rng(seed)
    grid = np.linspace(0, 1, 201)
    drawn = [np.interp(random.random(2 * COUNT), grid, np.quantile(column, grid)) for column in rows.T]
    probes = np.stack(drawn, axis=1)
    _put_on_thresholds(probes[COUNT:], forest, random)
    lowest, highest = np.array([bounds(column) for column in COLUMNS]).T
    clipped: NDArray[np.float64] = np.clip(probes, lowest, highest)
    return clipped


def _put_on_thresholds(probes: NDArray[np.float64], forest: Forest, random: np.random.Generator) -> None:
    inner = np.flatnonzero(forest.nodes != order.LEAF)
    if not len(inner):
        return
    nodes = forest.nodes[random.choice(inner, size=len(probes))]
    for probe, column, cut in zip(probes, order.columns(nodes), order.thresholds(nodes), strict=True):
        name = FEATURES[column]
        beside = (cut, np.nextafter(cut, np.float32(np.inf)), np.nextafter(cut, np.float32(-np.inf)))
        value = float(beside[random.integers(3)])
        if name in COLUMNS:
            probe[COLUMNS.index(name)] = value
        else:
            probe[COLUMNS.index("Time")] = value * 3600.0
