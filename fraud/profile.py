"""Reference profile: how the training rows and validation scores spread over bins, the yardstick for drift."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraud.manifest import BINS, Bins

SCORE = "score"
SCORE_EDGES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Upper edges of the score's bins; most scores are near 0, so quantiles would fall together."""


@dataclass(frozen=True)
class Profile:
    """Bins of each feature and of the score.

    ``names``: the features, then ``score``. ``edges``: float64 ``(len(names), BINS - 1)``, ascending upper edges
    (inclusive) padded with infinity where a feature has fewer distinct values. ``ratios``: float64
    ``(len(names), BINS)``, the share of reference rows in each bin.
    """

    names: tuple[str, ...]
    edges: NDArray[np.float64]
    ratios: NDArray[np.float64]

    def counts(self, features: NDArray[np.float32], scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """Rows in each bin: int64 ``(len(names), BINS)``, from features ``(n, k)`` and their scores ``(n,)``."""
        return bin_counts(np.column_stack([features, scores]), self.edges)

    def as_bins(self) -> dict[str, Bins]:
        """As a manifest holds it: by name, without the padding."""
        return {
            name: Bins(edges=tuple(edges[np.isfinite(edges)].tolist()), ratios=tuple(ratios.tolist()))
            for name, edges, ratios in zip(self.names, self.edges, self.ratios, strict=True)
        }

    @classmethod
    def from_bins(cls, bins: dict[str, Bins]) -> "Profile":
        """Read what ``as_bins`` gave."""
        edges = [_padded(np.asarray(part.edges, dtype=np.float64)) for part in bins.values()]
        ratios = [np.asarray(part.ratios, dtype=np.float64) for part in bins.values()]
        return cls(tuple(bins), np.stack(edges), np.stack(ratios))


def bin_counts(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count each column's values per bin: ``(n, k)`` values and ``(k, bins - 1)`` edges give int64 ``(k, bins)``."""
    columns, bins = len(edges), edges.shape[1] + 1
    total = np.zeros(columns * bins, dtype=np.int64)
    first = np.arange(columns) * bins
    for start in range(0, len(values), 512):  # bounded memory on bulk input
        codes = (values[start : start + 512, :, None] > edges).sum(axis=2) + first
        total += np.bincount(codes.ravel(), minlength=columns * bins)
    return total.reshape(columns, bins)


def build(names: tuple[str, ...], features: NDArray[np.float32], scores: NDArray[np.float64]) -> Profile:
    """Profile of reference rows.

    ``features``: float32 ``(n, len(names))`` of the training rows, cut at their deciles. ``scores``: float64 ``(m,)``
    of rows that the scoring forest did not see; scores of its own training rows would be too sure.
    """
    edges = np.stack([*(_deciles(column) for column in features.T), np.asarray(SCORE_EDGES)])
    counted = bin_counts(features.astype(np.float64), edges[:-1])
    scored = bin_counts(scores[:, None], edges[-1:])
    counts = np.concatenate([counted, scored])
    return Profile((*names, SCORE), edges, counts / counts.sum(axis=1, keepdims=True))


def _deciles(column: NDArray[np.float32]) -> NDArray[np.float64]:
    inner = np.quantile(column, np.linspace(0, 1, BINS + 1)[1:-1], method="lower").astype(np.float64)
    return _padded(np.unique(inner))


def _padded(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.pad(edges, (0, BINS - 1 - len(edges)), constant_values=np.inf)
