"""Learning what sums up a whole row: a linear discriminant, a logistic regression, and a distance from what is usual.

Learnt on the rows that a forest is fitted on, on one thread, and kept as float32: what differs between machines in the
last bits is then the same.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from fraud.inputs.summaries import Summaries
from training.train import Features, Labels

_MOST = 1e6


def learn(features: Features, labels: Labels) -> Summaries:
    """By ``features`` ``(n, k)`` and ``labels`` ``(n,)`` of 0 and 1, both of which there are; NaN is missing."""
    with threadpool_limits(limits=1):
        return _learn(features.astype(np.float64), labels)


def _learn(values: NDArray[np.float64], labels: Labels) -> Summaries:
    known = ~np.isnan(values)
    counts = np.maximum(known.sum(axis=0), 1)
    mean = _float32(np.where(known, values, 0.0).sum(axis=0) / counts)
    spread = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(axis=0) / counts)
    scale = _float32(np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1 / _MOST))
    values = np.where(known, (values - mean) * scale, 0.0)
    discriminant = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(values, labels)
    logistic = LogisticRegression(max_iter=200).fit(values, labels)
    usual = LedoitWolf().fit(values[labels == 0])
    axes = np.linalg.cholesky(usual.precision_)
    weights = np.column_stack([discriminant.coef_[0], logistic.coef_[0], axes])
    start = np.array([discriminant.intercept_[0], logistic.intercept_[0], *(-usual.location_ @ axes)])
    return Summaries(
        mean=tuple(mean.tolist()),
        scale=tuple(scale.tolist()),
        start=tuple(_float32(start).tolist()),
        weights=tuple(tuple(row) for row in _float32(weights).tolist()),
    )


def _float32(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    bounded = np.clip(numbers, -_MOST, _MOST)
    return bounded.astype(np.float32).astype(np.float64)
