"""Fit the forest, and choose its threshold on rows that the scoring forest did not see."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from fraud.errors import DataError, FraudError
from fraud.manifest import Recipe, Trees

Features = NDArray[np.float32]
Labels = NDArray[np.int8]
Scores = NDArray[np.float64]
Progress = Callable[[int], None]

_ANY_WEIGHT = 100.0
"""Of a fraud: up to it whatever the rows are."""
_MOST_TIMES = 10
"""All frauds together may weigh so many times as much as there are rows: a tree draws in proportion to the weights."""
_CHUNK = 20  # trees between two reports of progress, where there are no more cores


Forest = Any
"""A scikit-learn forest classifier: it ships no types."""
ESTIMATORS: Mapping[str, Any] = {"random-forest": RandomForestClassifier, "extra-trees": ExtraTreesClassifier}
"""Those that ``--estimator`` names: the kinds of trees."""

DEFAULTS = Recipe(
    trees=100,
    criterion="entropy",
    max_samples=0.6,
    fraud_weight=10.0,
    folds=3,
    target_precision=0.93,
    seed=0,
)
"""Chosen on validation rows alone, see ``docs/results.md``."""


def fit(
    features: Features,
    labels: Labels,
    recipe: Recipe,
    *,
    jobs: int = -1,
    progress: Progress = lambda _: None,
    chunk: int = _CHUNK,
) -> Forest:
    """Fit a forest: random (Breiman 2001), of extremely randomized trees (Geurts et al. 2006), or of several kinds.

    ``features``: ``(n, k)``, ``labels``: ``(n,)`` of 0 and 1. ``progress`` is told how many trees were added, each time
    that ``chunk`` of them were, or two a core. The same input, recipe and scikit-learn give the same forest, whatever
    ``jobs`` is and wherever it grows (``training.backend.fitting_on``).

    A forest of several kinds is the first one's, and holds the trees of the others too: a forest's score is the mean
    over its trees, whatever they are.

    Raises FraudError for a kind of another version, DataError when frauds weigh so much that a tree would draw many
    times the rows there are.
    """
    for kind in recipe.kinds:
        _check_weight(labels, kind.fraud_weight)
    chunk = max(chunk, 2 * effective_n_jobs(jobs))  # a cluster's cores too
    forests = []
    for place, kind in enumerate(recipe.kinds):
        model = _planted(kind, recipe.seed ^ place)
        while model.n_estimators < kind.trees:
            added = min(chunk, kind.trees - model.n_estimators)
            model.set_params(n_estimators=model.n_estimators + added, n_jobs=jobs)
            model.fit(features, labels)
            progress(added)
        forests.append(model)
    whole = forests[0]
    whole.estimators_ = [tree for model in forests for tree in model.estimators_]
    return whole.set_params(n_estimators=recipe.size, warm_start=False, n_jobs=1)


def _check_weight(labels: Labels, weight: float) -> None:
    """scikit-learn draws ``max_samples`` of the sum of the weights, not of the rows (since 1.9)."""
    rows, frauds = len(labels), int(labels.sum())
    most = max(_ANY_WEIGHT, _MOST_TIMES * rows / max(1, frauds))
    if frauds and weight > most:
        raise DataError(
            f"expected a weight of a fraud (fraud_weight, --fraud-weight) of at most {int(most)} where {frauds} of "
            f"{rows} rows are frauds, got {weight:g}: rows are drawn in proportion, so each tree would take very long"
        )


def _planted(kind: Trees, seed: int) -> Forest:
    """A forest without trees."""
    if kind.estimator not in ESTIMATORS:
        raise FraudError(
            f"{kind.estimator}: no kind of trees that this version knows; there are {', '.join(ESTIMATORS)}"
        )
    return ESTIMATORS[kind.estimator](
        n_estimators=0,
        bootstrap=True,
        criterion=kind.criterion,
        max_samples=kind.max_samples,
        max_features=kind.max_features,
        min_samples_leaf=kind.min_samples_leaf,
        max_depth=kind.max_depth,
        class_weight={0: 1.0, 1: kind.fraud_weight},
        random_state=seed,
        warm_start=True,  # grown in pieces, for the sake of progress; the trees are those of one fit
    )


def score(model: Forest, features: Features) -> Scores:
    """Probability of fraud of each row, ``(n,)``, as scikit-learn gives it on one thread: the reference."""
    probabilities: Scores = model.set_params(n_jobs=1).predict_proba(features)[:, 1]
    return probabilities
