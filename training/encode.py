"""Learning codes for the levels of categories: smoothed shares of frauds, cross-fitted where they are fitted on.

A share that was learnt on a row tells the row's own label: a column of 10,000 random ids takes average precision from
0.835 to 0.706 that way, whatever the smoothing. So the rows that a forest is fitted on get codes learnt on others
(five folds), as target encoding is done (Micci-Barreca 2001; cross-fitting as in scikit-learn's ``TargetEncoder``);
whatever comes later gets the codes of all of them. A column with few levels needs none of it.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from fraud.errors import DataError
from fraud.features import FeaturePath
from fraud.inputs.encoding import FEWEST, Codes, Encoding
from fraud.inputs.levels import moved
from fraud.inputs.summaries import MOST, Summaries
from fraud.manifest import Recipe
from training.dataset import Dataset
from training.split import Indices
from training.train import Features, Labels

FOLDS = 5
SMOOTHING = 20.0
"""A level counts as if so many more rows of it had the share of all rows."""
ENOUGH = 20
"""Frauds a level, on average, from which on the rows that a code was learnt on have it too: one row says little then,
and a level that is another number in each fold costs more (``docs/results.md``)."""
_FURTHEST = 1e6


def fit(dataset: Dataset, part: Indices, recipe: Recipe) -> tuple[FeaturePath, Features]:
    """What is learnt of the rows ``part``, and their features, float32 ``(len(part), n_features)``, cross-fitted.

    Of the share ``recipe.missing_histories`` of them histories are taken away, as a store that cannot be reached does.
    """
    path, features = _fit(dataset, part, recipe.seed)
    if (wide := len(dataset.schema.histories)) and recipe.missing_histories:
        features[np.random.default_rng(recipe.seed).random(len(part)) < recipe.missing_histories, -wide:] = np.nan
    if not recipe.summaries:
        return path, features
    path = replace(path, summaries=summaries_of(features, dataset.labels[part]))
    return path, path.summed_up(features)


def _fit(dataset: Dataset, part: Indices, seed: int) -> tuple[FeaturePath, Features]:
    rows, labels = dataset.rows[part], dataset.labels[part]
    if not dataset.schema.categories:
        path = FeaturePath(dataset.schema)
        return path, path.transform(rows)
    path = FeaturePath(dataset.schema, _learn(dataset, rows, labels, None))
    features = features_of(path, dataset, part)
    leaking = [name for name, codes in path.encoding.columns.items() if labels.sum() < ENOUGH * len(codes.levels)]
    if not leaking:
        return path, features
    places = [path.names.index(name) for name in leaking]
    fold_of = np.random.default_rng(seed).permutation(len(part)) % FOLDS
    for fold in range(FOLDS):
        held = fold_of == fold
        others = FeaturePath(dataset.schema, _learn(dataset, rows[~held], labels[~held], path.encoding))
        features[np.ix_(held, places)] = features_of(others, dataset, part[held])[:, places]
    return path, features


def features_of(path: FeaturePath, dataset: Dataset, part: Indices) -> Features:
    """Features of rows that ``path`` was not learnt on, float32 ``(len(part), n_features)``."""
    return path.transform(rows_of(path, dataset, part))


def rows_of(path: FeaturePath, dataset: Dataset, part: Indices) -> NDArray[np.float64]:
    """The rows ``part`` with the levels that ``path`` has learnt, float64 ``(len(part), inputs)``."""
    return moved(dataset.rows[part], dataset.schema, dataset.levels, path.encoding.levels)


def _learn(dataset: Dataset, rows: NDArray[np.float64], labels: NDArray[np.int8], like: Encoding | None) -> Encoding:
    """Codes by ``rows``; of the levels of ``like`` where that is given, else of those that are not rare."""
    columns = {}
    for name in dataset.schema.categories:
        place = dataset.schema.inputs.index(name)
        own = None if like is None else like.columns[name].levels
        columns[name] = _codes(rows[:, place], labels, dataset.levels[name], own)
    return Encoding(columns=columns)


def _codes(
    column: NDArray[np.float64], labels: NDArray[np.int8], levels: tuple[str, ...], own: tuple[str, ...] | None
) -> Codes:
    missing = np.isnan(column)
    at = np.where(missing, 0, column).astype(np.int64)[~missing]
    counts = np.bincount(at, minlength=len(levels))
    frauds = np.bincount(at, weights=labels[~missing], minlength=len(levels))
    kept = counts >= FEWEST if own is None else np.isin(np.array(levels), own)
    names = [level for level, keep in zip(levels, kept, strict=True) if keep]
    mean = float(labels.mean())

    def share(of: Any, rows: Any) -> Any:  # noqa: ANN401 - arrays of counts
        return (of + SMOOTHING * mean) / (rows + SMOOTHING)

    return Codes(
        levels=tuple(names),
        codes=_float32(share(frauds[kept], counts[kept])),
        other=_float32(share(frauds[~kept].sum(keepdims=True), counts[~kept].sum(keepdims=True)))[0],
        missing=_float32(share(labels[missing].sum(keepdims=True), np.array([missing.sum()])))[0],
    )


def _float32(numbers: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(_as_kept(numbers).tolist())


def _as_kept(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """What JSON writes of these numbers is read as the same float32."""
    return numbers.astype(np.float32).astype(np.float64)


def summaries_of(features: Features, labels: Labels) -> Summaries:
    """What sums up features ``(n, k)`` by labels ``(n,)`` of 0 and 1, both of which there are; NaN is missing.

    Learnt on one thread, and kept as float32: what differs between machines in the last bits is then the same.
    Raises DataError where there are more features than can be summed up.
    """
    if (count := features.shape[1]) > MOST:
        raise DataError(f"{count} features, and summaries are of at most {MOST}: train without --summaries")
    with threadpool_limits(limits=1):
        return _summaries(features.astype(np.float64), labels)


def _summaries(values: NDArray[np.float64], labels: Labels) -> Summaries:
    known = ~np.isnan(values)
    counts = np.maximum(known.sum(axis=0), 1)
    mean = _as_kept(np.where(known, values, 0.0).sum(axis=0) / counts)  # however far from zero
    spread = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(axis=0) / counts)
    scale = _bounded(np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1 / _FURTHEST))
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
        start=tuple(_bounded(start).tolist()),
        weights=tuple(tuple(row) for row in _bounded(weights).tolist()),
    )


def _bounded(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    return _as_kept(np.clip(numbers, -_FURTHEST, _FURTHEST))
