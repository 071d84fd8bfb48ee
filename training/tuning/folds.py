"""Parts of the training rows, each scored by models that were fitted without it; every trial has the same ones."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fraud.errors import DataError
from fraud.manifest import Recipe
from training import encode, split
from training.dataset import Dataset
from training.train import Features, Labels

FIRST = 0.4
"""The share of the rows, by time, that is only ever fitted on where folds are in order."""


@dataclass(frozen=True)
class Folding:
    """How rows are divided: at random by their values, or in order of time, where each part is later than what it is
    scored by."""

    in_order: bool
    count: int
    seed: int
    """Of the split; it deals out folds at random."""
    fresh: bool = False
    """Other folds than those of the search: dealt out anew, or their bounds moved by half of one."""


@dataclass(frozen=True, eq=False)
class Fold:
    """What one model is fitted on, and what it scores: ``(n, k)`` features and ``(n,)`` labels of both."""

    features: Features
    labels: Labels
    held: Features
    held_labels: Labels
    nullable: tuple[int, ...]
    """Places of the features that may be missing."""


def folds(dataset: Dataset, folding: Folding, recipe: Recipe) -> list[Fold]:
    """The parts of all rows of ``dataset``; what there is to learn of categories is learnt without the part.

    Raises DataError when a part, or what is to score it, has no fraud.
    """
    divided = _in_order if folding.in_order else _at_random
    return [_fold(dataset, fitted, held, recipe) for fitted, held in divided(dataset, folding)]


def _fold(dataset: Dataset, fitted: split.Indices, held: split.Indices, recipe: Recipe) -> Fold:
    path, features = encode.fit(dataset, fitted, recipe)
    scored = encode.features_of(path, dataset, held)
    return Fold(features, dataset.labels[fitted], scored, dataset.labels[held], path.nullable)


def _at_random(dataset: Dataset, folding: Folding) -> Iterator[tuple[split.Indices, split.Indices]]:
    fold_of = split.folds(dataset, np.arange(dataset.size), folding.count, folding.seed + 1 + folding.fresh)
    for number in range(folding.count):
        yield np.flatnonzero(fold_of != number), np.flatnonzero(fold_of == number)


def _in_order(dataset: Dataset, folding: Folding) -> Iterator[tuple[split.Indices, split.Indices]]:
    everything = np.arange(dataset.size)
    places = np.arange(folding.count) + 0.5 * folding.fresh
    shares = (1 - FIRST) * (1 - places / folding.count)
    starts = [int(split.later_part(dataset, everything, share)[0]) for share in shares]
    for start, end in zip(starts, [*starts[1:], dataset.size], strict=True):
        fitted, held = everything[:start], everything[start:end]
        if not dataset.labels[fitted].any() or not dataset.labels[held].any():
            raise DataError(
                f"one of {folding.count} parts by time, or what is earlier, has no fraud (of {dataset.frauds} frauds "
                "to train on): give fewer --folds or more data, or try --split stratified"
            )
        yield fitted, held
