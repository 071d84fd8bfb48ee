"""What a walk looks at: a cell for each feature, and a second one for each that may be missing (NaN).

scikit-learn's trees send NaN to the side that each node chose in training, or, where nothing was missing then, to the
side of more rows (``tree_.missing_go_to_left``). A node has no bit left to say so (``fraud.scorer.order``); instead it
chooses what it looks at. A feature that may be missing has two cells: at its own place NaN is above every threshold and
goes right, in the second, behind all features, it is below every threshold and goes left. Numbers are the same in both.

Above every threshold is above infinity too, which is the threshold of a node that parts what is missing from all else.
So NaN stays NaN, whose keys lie beyond those of the infinities, one on either side by its sign. The walks know nothing
of all this, and a forest without missing values has no second cells and pays nothing.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fraud.scorer import order
from fraud.scorer.kernel import Walk

ABOVE, BELOW = np.uint32(0x7FC00000), np.uint32(0xFFC00000)
"""Bits of the two NaNs whose keys are above and below every threshold's."""


def problem(n_features: int, nullable: Sequence[int]) -> str | None:
    """Why there are no cells for these features, of which those at ``nullable`` may be missing, or None."""
    if any(type(place) is not int for place in nullable) or list(nullable) != sorted(set(nullable)):
        return f"expected ascending places of features that may be missing, got {nullable!r}"
    if nullable and not 0 <= nullable[0] <= nullable[-1] < n_features:
        return f"expected places within {n_features} features that may be missing, got {nullable!r}"
    if n_features + len(nullable) > order.MOST_FEATURES:
        more = f", {len(nullable)} of which may be missing and count twice" if nullable else ""
        return f"expected at most {order.MOST_FEATURES} features, got {n_features}{more}"
    return None


def features(n_features: int, nullable: Sequence[int]) -> NDArray[np.int64]:
    """Feature that each cell shows, ``(n_features + len(nullable),)``."""
    return np.array([*range(n_features), *nullable], dtype=np.int64)


def chosen(
    looked_at: NDArray[np.int64], goes_left: NDArray[np.bool_], n_features: int, nullable: Sequence[int]
) -> NDArray[np.int64]:
    """Cell for each node ``(nodes,)``, given the feature that it looks at and whether it sends NaN to the left.

    A feature that is not nullable has one cell, whatever the node says.
    """
    second = np.arange(n_features)
    second[list(nullable)] = n_features + np.arange(len(nullable))
    return np.where(goes_left, second[looked_at], looked_at)


def filled_before(walk: Walk, n_features: int, nullable: Sequence[int]) -> Walk:
    """A walk that takes features, ``(n, n_features)``, and fills in their cells for ``walk``, which takes these."""
    shown = features(n_features, nullable)
    stand_ins = np.where(np.arange(len(shown)) < n_features, ABOVE, BELOW)

    def score(rows: NDArray[np.float32], scores: NDArray[np.float64]) -> None:
        cells = rows.take(shown, axis=1)
        np.copyto(cells.view(np.uint32), stand_ins, where=np.isnan(cells))
        walk(cells, scores)

    return score
