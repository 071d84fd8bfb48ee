"""Synthetic minority over-sampling (Chawla et al. 2002): new frauds between two that are near to one another."""

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors


def smote(
    rows: NDArray[np.float32], labels: NDArray[np.int8], seed: int = 0, neighbours: int = 5
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """As many frauds as other rows: ``rows`` ``(n, k)`` and ``labels`` ``(n,)``, the made ones behind them."""
    random, frauds = np.random.default_rng(seed), rows[labels == 1]
    near = NearestNeighbors(n_neighbors=min(neighbours + 1, len(frauds))).fit(frauds)
    others = near.kneighbors(frauds, return_distance=False)[:, 1:]
    made = max(0, len(rows) - 2 * len(frauds))
    begin = random.integers(0, len(frauds), made)
    end = others[begin, random.integers(0, others.shape[1], made)]
    between = frauds[begin] + random.random((made, 1), dtype=np.float32) * (frauds[end] - frauds[begin])
    return np.vstack([rows, between]), np.concatenate([labels, np.ones(made, labels.dtype)])
