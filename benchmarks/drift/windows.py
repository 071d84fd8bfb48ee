"""Windows of rows as drift monitoring sees them: counts per bin, and the index of each feature and of the score."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraud.features import transform
from fraud.profile import BINS, Profile, build
from fraud.schema import default
from fraud.scorer.forest import Forest
from fraud.scorer.from_sklearn import from_sklearn
from monitoring.offline.drift import psi_by_row
from training import train
from training.dataset import Dataset
from training.train import Recipe

Features = NDArray[np.float32]
Indices = NDArray[np.int64]

FITTED, VALIDATED = 0.4, 0.2  # shares of the rows; the others make the windows


@dataclass(frozen=True, eq=False)
class Watch:
    """A model with its reference, and rows that neither of them has seen."""

    profile: Profile
    forest: Forest
    features: Features
    labels: NDArray[np.int8]
    reference_rows: int

    def codes(self, features: Features) -> NDArray[np.int16]:
        """Bin of each row and name, numbered over all names: int16 ``(n, len(names))``."""
        columns = np.column_stack([features, self.forest.score(features)])
        bins = [np.searchsorted(edges, values) for edges, values in zip(self.profile.edges, columns.T, strict=True)]
        first = np.arange(len(bins)) * BINS
        return (np.stack(bins, axis=1) + first).astype(np.int16)

    def indices(self, codes: NDArray[np.int16], windows: Iterator[Indices] | Sequence[Indices]) -> NDArray[np.float64]:
        """Stability index of each window and name, ``(windows, len(names))``."""
        shape = self.profile.ratios.shape
        size = shape[0] * shape[1]
        counts = [np.bincount(codes[window].ravel(), minlength=size).reshape(shape) for window in windows]
        return psi_by_row(np.stack(counts), self.profile.ratios)


def watch(dataset: Dataset, seen: Indices, unseen: Indices, recipe: Recipe, jobs: int) -> Watch:
    """Fit on two thirds of ``seen``, in their order, and score the others for the reference of the score.

    The profile is made as ``training.run`` makes it: features of fitted rows, scores of rows the forest did not see.
    """
    cut = round(len(seen) * FITTED / (FITTED + VALIDATED))
    fitted, validated = seen[:cut], seen[cut:]
    features = transform(dataset.rows)
    forest = from_sklearn(train.fit(features[fitted], dataset.labels[fitted], recipe, jobs=jobs))
    profile = build(default().features, features[fitted], forest.score(features[validated]))
    return Watch(profile, forest, features[unseen], dataset.labels[unseen], len(fitted))


def halves(rows: Indices, random: np.random.Generator) -> tuple[Indices, Indices]:
    """Rows at random for model and reference, and the others, in order, for windows."""
    order = random.permutation(rows)
    cut = round(len(rows) * (FITTED + VALIDATED))
    return order[:cut], np.sort(order[cut:])


def drawn(random: np.random.Generator, rows: int, size: int, windows: int) -> Iterator[Indices]:
    """Windows of ``size`` row numbers below ``rows``, each drawn independently."""
    return (random.integers(0, rows, size) for _ in range(windows))


def drawn_with_frauds(
    random: np.random.Generator, labels: NDArray[np.int8], times: float, size: int, windows: int
) -> Iterator[Indices]:
    """The same, with ``times`` as many frauds as there are among ``labels``."""
    frauds, others = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    share = times * labels.mean()
    for _ in range(windows):
        number = random.binomial(size, share)
        yield np.concatenate([random.choice(frauds, number), random.choice(others, size - number)])


def following(rows: int, size: int) -> list[Indices]:
    """Consecutive windows of ``size`` rows; a rest is left out."""
    return [np.arange(start, start + size) for start in range(0, rows - size + 1, size)]


def spans(times: NDArray[np.float64], seconds: float) -> list[Indices]:
    """Consecutive windows of ``seconds``, by the clock; none is empty."""
    number = (times // seconds).astype(np.int64)
    return [np.flatnonzero(number == value) for value in np.unique(number)]
