"""What is done to rows to see whether drift monitoring finds it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraud.schema import default

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Shift:
    """A change of one feature of every row, or, with ``frauds``, of how many frauds there are."""

    text: str
    feature: str
    change: Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.floating]] = lambda column, _: column
    frauds: float = 1.0

    def apply(self, features: Features, random: np.random.Generator) -> Features:
        """The rows, changed."""
        changed = features.copy()
        position = default().features.index(self.feature)
        changed[:, position] = self.change(features[:, position], random)
        return changed


def moved(feature: str, deviations: float) -> Shift:
    """The mean of a feature, moved by some of its standard deviations."""
    return Shift(f"{feature}: mean + {deviations:g} sd", feature, lambda column, _: column + deviations * column.std())


def scaled(feature: str, factor: float) -> Shift:
    """A feature that spreads more widely about its mean."""
    return Shift(
        f"{feature}: spread x {factor:g}",
        feature,
        lambda column, _: column.mean() + factor * (column - column.mean()),
    )


def multiplied(feature: str, factor: float) -> Shift:
    """A feature in other units, or after inflation."""
    return Shift(f"{feature} x {factor:g}", feature, lambda column, _: factor * column)


def stuck(feature: str) -> Shift:
    """A feature that always has its median."""
    return Shift(f"{feature}: stuck at its median", feature, lambda column, _: np.full_like(column, np.median(column)))


def missing(feature: str, share: float) -> Shift:
    """A feature that is missing in some rows, where a caller sends 0."""
    return Shift(
        f"{feature}: 0 in {share:.0%} of rows",
        feature,
        lambda column, random: np.where(random.random(len(column)) < share, np.float32(0), column),
    )


def more_frauds(times: float) -> Shift:
    """More frauds of the kinds that are known."""
    return Shift(f"frauds x {times:g}", "V14", frauds=times)


def shifts() -> list[Shift]:
    """All that is tried: V14 is one of the forest's most telling features, V13 tells it little."""
    return [
        *(moved(feature, size) for feature in ("V14", "V13") for size in (0.25, 0.5, 1.0)),
        *(scaled("V14", factor) for factor in (1.25, 1.5, 2.0)),
        *(multiplied("Amount", factor) for factor in (1.2, 2.0)),
        stuck("V14"),
        *(missing("V14", share) for share in (0.05, 0.1, 0.2)),
        *(more_frauds(times) for times in (5.0, 10.0)),
    ]
