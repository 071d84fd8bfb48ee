"""Recipes of models on the same rows, fitted again: out of fold, on several divisions into folds.

A verdict on one test part hangs on its few frauds. Here every fraud is judged in each repeat, by forests that did not
see its fold, and the figures are the means of all repeats; rows are resampled once for all of them, so the intervals
say what other rows would have given, and the luck of a seed cancels out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraud.errors import DataError, ModelError
from fraud.manifest import Recipe
from fraud.store import Served
from training import run, split
from training.console import Steps
from training.dataset import Dataset
from training.judging import contender, paired
from training.judging.views import Views
from training.train import DEFAULTS, Progress, Scores

FOLDS = DEFAULTS.folds
_SEEDS = 2**32


REPEATS = 5
"""Of the command that is told of."""


def is_possible(models: Sequence[Served]) -> bool:
    """Whether recipes can be compared so."""
    try:
        check(models)
    except (DataError, ModelError):
        return False
    return True


def check(models: Sequence[Served]) -> None:
    """Raise ModelError or DataError where recipes cannot be compared so."""
    for number, one in enumerate(models):
        for other in models[:number]:
            if _made_of(one) == _made_of(other):
                raise ModelError(
                    f"{other.version} and {one.version} have one recipe and one schema: fitted again on the same rows "
                    "they are one; leave --refit out"
                )
        if keys := split.keys_of_labels(one.features.schema):
            raise split.tells_labels(keys, "leave --refit out, and give --data of later rows")


def _made_of(served: Served) -> tuple[str, Recipe]:
    return served.features.schema.hash, served.manifest.settings


def compare(models: Sequence[Served], found: Views, repeats: int, steps: Steps, *, jobs: int = -1) -> dict[str, Any]:
    """Average precision, and recall at the precision that the first recipe asks for, of each and against the first."""
    labels, precision = found.first.labels, models[0].manifest.settings.target_precision
    everything = np.arange(found.first.size)
    fold_of = [split.folds(found.first, everything, FOLDS, repeat) for repeat in range(repeats)]
    scores = []
    for served, dataset in zip(models, found.datasets, strict=True):
        recipe = served.manifest.settings
        text = f"{served.version}: {repeats} times {FOLDS} folds"
        with steps.trees(text, recipe.size * FOLDS * repeats) as progress:
            scores.append(out_of_folds(dataset, fold_of, recipe, jobs=jobs, progress=progress))
    steps.start("test", f"Judging {len(models)} recipes on {found.first.size} rows out of fold")
    names = contender.figure_names(precision)
    document = {
        "sources": list(found.first.sources),
        "rows": found.first.size,
        "frauds": found.first.frauds,
        "repeats": repeats,
        "folds": FOLDS,
        "histories": list(found.histories),
        "precision": precision,
        "models": [
            {
                "model_version": served.version,
                "recipe": served.manifest.settings.model_dump(),
                "figures": dict(
                    zip(names, (figure.model_dump() for figure in paired.alone(own, labels, precision)), strict=True)
                ),
                "differences": None
                if own is scores[0]
                else contender.less("first", contender.differences(own, scores[0], labels, precision)),
            }
            for served, own in zip(models, scores, strict=True)
        ],
    }
    steps.done(f"{found.first.frauds} frauds")
    return document


def out_of_folds(
    dataset: Dataset,
    fold_of: Sequence[NDArray[np.int64]],
    recipe: Recipe,
    *,
    jobs: int = -1,
    progress: Progress = lambda _: None,
) -> Scores:
    """Scores ``(len(fold_of), n)`` of all rows: out of fold by each division, with a seed of the forest for each."""
    everything = np.arange(dataset.size)
    return np.stack(
        [
            run.out_of_fold(dataset, everything, folds, _reseeded(recipe, repeat), jobs=jobs, progress=progress)
            for repeat, folds in enumerate(fold_of)
        ]
    )


def _reseeded(recipe: Recipe, repeat: int) -> Recipe:
    return recipe.model_copy(update={"seed": (recipe.seed + repeat) % _SEEDS})
