"""Fit the forest, and choose its threshold on rows that the scoring forest did not see."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from fraud.manifest import Recipe

Features = NDArray[np.float32]
Labels = NDArray[np.int8]
Scores = NDArray[np.float64]
Progress = Callable[[int], None]

_CHUNK = 20  # trees between two reports of progress, where there are no more cores


Forest = Any
"""A scikit-learn forest classifier: it ships no types."""
ESTIMATORS: Mapping[str, Any] = {
    "random-forest": RandomForestClassifier,
    "extra-trees": ExtraTreesClassifier,
}
"""Those that ``--estimator`` names."""

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
    features: Features, labels: Labels, recipe: Recipe, *, jobs: int = -1, progress: Progress = lambda _: None
) -> Forest:
    """Fit a forest: random (Breiman 2001) or of extremely randomized trees (Geurts et al. 2006), scikit-learn's own.

    ``features``: ``(n, k)``, ``labels``: ``(n,)`` of 0 and 1. ``progress`` is told how many trees were added. The same
    input, recipe and scikit-learn give the same forest, whatever ``jobs`` is and wherever it grows
    (``training.backend.fitting_on``).
    """
    model = ESTIMATORS[recipe.estimator](
        n_estimators=0,
        bootstrap=True,
        criterion=recipe.criterion,
        max_samples=recipe.max_samples,
        class_weight={0: 1.0, 1: recipe.fraud_weight},
        random_state=recipe.seed,
        n_jobs=jobs,
        warm_start=True,  # grown in pieces, for the sake of progress; the trees are those of one fit
    )
    chunk = max(_CHUNK, 2 * effective_n_jobs(jobs))  # a cluster's cores too
    while model.n_estimators < recipe.trees:
        added = min(chunk, recipe.trees - model.n_estimators)
        model.set_params(n_estimators=model.n_estimators + added)
        model.fit(features, labels)
        progress(added)
    return model.set_params(warm_start=False, n_jobs=1)


def score(model: Forest, features: Features) -> Scores:
    """Probability of fraud of each row, ``(n,)``, as scikit-learn gives it on one thread: the reference."""
    probabilities: Scores = model.set_params(n_jobs=1).predict_proba(features)[:, 1]
    return probabilities
