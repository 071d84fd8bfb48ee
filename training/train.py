"""Fit the forest, and choose its threshold on rows that the scoring forest did not see."""

from collections.abc import Callable

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from fraud.manifest import Recipe

Features = NDArray[np.float32]
Labels = NDArray[np.int8]
Scores = NDArray[np.float64]
Progress = Callable[[int], None]

_CHUNK = 20  # trees between two reports of progress, where there are no more cores


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
) -> RandomForestClassifier:
    """Fit a random forest (Breiman 2001, scikit-learn's implementation).

    ``features``: ``(n, k)``, ``labels``: ``(n,)`` of 0 and 1. ``progress`` is told how many trees were added. The same
    input, recipe and scikit-learn give the same forest, whatever ``jobs`` is and wherever it grows
    (``training.backend.fitting_on``).
    """
    model = RandomForestClassifier(
        n_estimators=0,
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


def score(model: RandomForestClassifier, features: Features) -> Scores:
    """Probability of fraud of each row, ``(n,)``, as scikit-learn gives it on one thread: the reference."""
    probabilities: Scores = model.set_params(n_jobs=1).predict_proba(features)[:, 1]
    return probabilities


def out_of_fold(
    features: Features,
    labels: Labels,
    fold_of: NDArray[np.int64],
    recipe: Recipe,
    *,
    jobs: int = -1,
    progress: Progress = lambda _: None,
) -> Scores:
    """Score every row by a forest fitted without the row's fold; ``fold_of`` is ``(n,)``."""
    scores = np.empty(len(labels))
    for fold in np.unique(fold_of):
        held = fold_of == fold
        model = fit(features[~held], labels[~held], recipe, jobs=jobs, progress=progress)
        scores[held] = score(model, features[held])
    return scores
