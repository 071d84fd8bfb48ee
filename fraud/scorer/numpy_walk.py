"""The walk in plain NumPy, where no compiled one fits the machine: the same scores in every bit.

All trees and rows of a block go down one level at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraud.scorer import order

_LANES = 16_384  # tree-row pairs walked at once: the state stays in the processor's cache
_ROWS = 2_048  # rows of one block: a tree's nodes are read again while they are still near


def bind(
    roots: NDArray[np.int32], nodes: NDArray[np.uint64], value: NDArray[np.float64], n_features: int
) -> Callable[[NDArray[np.float32], NDArray[np.float64]], None]:
    """A function that writes the score of each of its C-ordered rows ``(n, n_features)`` into its scores ``(n,)``."""
    trees = _Trees(roots, value, order.cuts(nodes), order.columns(nodes), order.children(nodes).ravel(), n_features)

    def score(rows: NDArray[np.float32], scores: NDArray[np.float64]) -> None:
        for start in range(0, len(rows), _ROWS):
            scores[start : start + _ROWS] = _score_block(trees, order.keys(rows[start : start + _ROWS]))

    return score


@dataclass(frozen=True, eq=False)
class _Trees:
    """The nodes taken apart: ``children`` holds left and right of each node in turn."""

    roots: NDArray[np.int32]
    value: NDArray[np.float64]
    cut: NDArray[np.uint32]
    column: NDArray[np.int32]
    children: NDArray[np.int32]
    n_features: int


def _score_block(trees: _Trees, block: NDArray[np.uint32]) -> NDArray[np.float64]:
    total = np.zeros((1, len(block)), dtype=np.float64)
    step = max(1, _LANES // max(1, len(block)))
    for start in range(0, len(trees.roots), step):
        leaves = _leaves(trees, block, trees.roots[start : start + step])
        # accumulate adds strictly in tree order; sum() would not
        total = np.add.accumulate(np.concatenate([total, trees.value[leaves]]), axis=0)[-1:]
    scores: NDArray[np.float64] = total[0] / len(trees.roots)
    return scores


def _leaves(trees: _Trees, block: NDArray[np.uint32], roots: NDArray[np.int32]) -> NDArray[np.int32]:
    """Leaf of each tree and row: int32 ``(len(roots), len(block))``."""
    values = block.ravel()
    offsets = np.tile(np.arange(len(block), dtype=np.int32) * trees.n_features, len(roots))
    result = np.repeat(roots, len(block))
    lanes = np.arange(len(result))
    nodes = result.copy()
    while len(lanes):
        right = values.take(offsets + trees.column.take(nodes)) > trees.cut.take(nodes)
        below = trees.children.take(2 * nodes + right)
        moving = below != nodes
        if not moving.all():
            done = ~moving
            result[lanes[done]] = nodes[done]
            lanes, offsets, below = lanes[moving], offsets[moving], below[moving]
        nodes = below
    return result.reshape(len(roots), len(block))
