"""The walk in plain NumPy, where no compiled one fits the machine: the same scores in every bit.

All trees and rows of a block go down one level at a time.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fraud.forest import Forest

_LANES = 16_384  # tree-row pairs walked at once: the state stays in the processor's cache
_ROWS = 2_048  # rows of one block: a tree's nodes are read again while they are still near


def score(forest: "Forest", features: NDArray[np.float32], scores: NDArray[np.float64]) -> None:
    """Write the score of each of the C-ordered ``features`` ``(n, n_features)`` into ``scores`` ``(n,)``."""
    for start in range(0, len(features), _ROWS):
        scores[start : start + _ROWS] = _score_block(forest, keys(features[start : start + _ROWS]))


def keys(numbers: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Whole numbers in the order of the floats; both zeros are one. kernel.c does the same."""
    bits = numbers.view(np.int32)
    signed = bits & np.int32(0x7FFFFFFF)
    np.negative(signed, where=bits < 0, out=signed)
    ordered: NDArray[np.uint32] = signed.view(np.uint32) + np.uint32(0x80000000)
    return ordered


def _score_block(forest: "Forest", block: NDArray[np.uint32]) -> NDArray[np.float64]:
    total = np.zeros((1, len(block)), dtype=np.float64)
    step = max(1, _LANES // max(1, len(block)))
    for start in range(0, forest.n_trees, step):
        leaves = _leaves(forest, block, forest.roots[start : start + step])
        # accumulate adds strictly in tree order; sum() would not
        total = np.add.accumulate(np.concatenate([total, forest.value[leaves]]), axis=0)[-1:]
    scores: NDArray[np.float64] = total[0] / forest.n_trees
    return scores


def _leaves(forest: "Forest", block: NDArray[np.uint32], roots: NDArray[np.int32]) -> NDArray[np.int32]:
    """Leaf of each tree and row: int32 ``(len(roots), len(block))``."""
    values = block.ravel()
    offsets = np.tile(np.arange(len(block), dtype=np.int32) * forest.n_features, len(roots))
    result = np.repeat(roots, len(block))
    lanes = np.arange(len(result))
    nodes = result.copy()
    children = forest.children.ravel()
    while len(lanes):
        right = values.take(offsets + forest.feature.take(nodes)) > forest.cut.take(nodes)
        below = children.take(2 * nodes + right)
        moving = below != nodes
        if not moving.all():
            done = ~moving
            result[lanes[done]] = nodes[done]
            lanes, offsets, below = lanes[moving], offsets[moving], below[moving]
        nodes = below
    return result.reshape(len(roots), len(block))
