"""How a node is written: its threshold as a whole number in the order of the floats, its column, its children.

A node is a uint64. In the upper half is the cut, which is the threshold as ``keys`` gives it; in the lower half the
distance to the left child times 256 plus the column to look at. The right child is the next one; a leaf is ``LEAF``.
kernel.c reads the same.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FEATURE_BITS = 8
MOST_FEATURES = 2**FEATURE_BITS
MOST_NODES = 2**30  # the NumPy walk doubles node numbers in int32
MOST_DISTANCE = 2 ** (32 - FEATURE_BITS)
LEAF = np.uint64(0xFFFFFFFF_00000000)
"""A leaf's node: no key is above its cut, so a walk stays."""
LOWEST_CUT, HIGHEST_CUT = 0x00800000, 0xFF800000  # keys of the infinities
_ROUNDING = 1e-6  # of sums over up to a thousand million rows

Nodes = NDArray[np.uint64]


def keys(numbers: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Whole numbers in the order of the floats; both zeros are one."""
    bits = numbers.view(np.int32)
    signed = bits & np.int32(0x7FFFFFFF)
    np.negative(signed, where=bits < 0, out=signed)
    ordered: NDArray[np.uint32] = signed.view(np.uint32) + np.uint32(0x80000000)
    return ordered


def floor32(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 not above each float64 threshold."""
    with np.errstate(over="ignore"):  # beyond float32 it is an infinity, which compares as it should
        rounded = thresholds.astype(np.float32)
        below = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded.astype(np.float64) > thresholds, below, rounded)


def inner_nodes(thresholds: NDArray[np.float64], distances: NDArray[np.int64], columns: NDArray[np.int64]) -> Nodes:
    """Inner nodes with these thresholds, distances to their left children, and columns; each ``(n,)``."""
    link = distances * MOST_FEATURES + columns
    written: Nodes = keys(floor32(thresholds)).astype(np.uint64) << 32 | link.astype(np.uint64)
    return written


def cuts(nodes: Nodes) -> NDArray[np.uint32]:
    """Key of the threshold of each node, ``(n,)``."""
    return (nodes >> 32).astype(np.uint32)


def thresholds(nodes: Nodes) -> NDArray[np.float32]:
    """Threshold of each node, rounded down, ``(n,)``; 0 at leaves."""
    signed = (cuts(nodes) - np.uint32(0x80000000)).view(np.int32)
    bits = np.abs(signed).view(np.uint32) | (signed < 0) * np.uint32(0x80000000)
    return np.where(nodes == LEAF, np.float32(0), bits.view(np.float32))


def columns(nodes: Nodes) -> NDArray[np.int32]:
    """Column that each node looks at, ``(n,)``; 0 at leaves."""
    features: NDArray[np.int32] = (nodes % MOST_FEATURES).astype(np.int32)
    return features


def distances(nodes: Nodes) -> NDArray[np.int64]:
    """How far behind each node its left child is, ``(n,)``; 0 at leaves."""
    return (nodes.astype(np.uint32) >> FEATURE_BITS).astype(np.int64)


def children(nodes: Nodes) -> NDArray[np.int32]:
    """Where to go when ``x <= threshold`` and when not, ``(n, 2)``; a leaf points at itself."""
    distance = distances(nodes).astype(np.int32)
    left = np.arange(len(distance), dtype=np.int32) + distance
    return np.stack([left, left + (distance > 0)], axis=1)


def problem(roots: NDArray[Any], nodes: NDArray[Any], value: NDArray[Any], n_features: int) -> str | None:
    """What would let a walk leave the arrays or never end, or None. Children lie behind their parent, in its tree."""
    size = len(value) if value.ndim == 1 else 0
    layout = [(roots, "int32", (roots.size,)), (nodes, "uint64", (size,)), (value, "float64", (size,))]
    for array, dtype, shape in layout:
        if array.dtype != dtype or array.shape != shape or not (array.flags.c_contiguous and array.flags.aligned):
            return f"expected an array of {dtype} {shape}, got {array.dtype} {array.shape}"
    if not len(roots) or not size or size >= MOST_NODES:
        return f"{len(roots)} trees of {size} nodes"
    if roots[0] != 0 or (np.diff(roots) <= 0).any() or roots[-1] >= size:
        return "the tree starts are not ascending"
    distance, cut = distances(nodes), cuts(nodes)
    right = np.arange(size) + distance + 1
    ends = np.repeat(np.append(roots[1:], size), np.diff(np.append(roots, size)))
    leaf = nodes == LEAF
    inner = (distance > 0) & (right < ends) & (cut >= LOWEST_CUT) & (cut <= HIGHEST_CUT)
    if not (leaf | inner).all():
        return f"node {int(np.argmin(leaf | inner))} points outside its tree, or its threshold is no number"
    if not 0 < n_features <= MOST_FEATURES or columns(nodes).max() >= n_features:
        return "a node looks at a feature that is not there"
    if not ((value >= 0) & (value <= 1)).all():
        return "a leaf value is out of range"
    return None


def cover_problem(nodes: Nodes, cover: NDArray[Any]) -> str | None:
    """What shows that these are not the weights of the rows that came to each of the nodes, or None.

    ``nodes`` are sound. Rows of a parent are shared between its children; each sum is rounded in another order.
    """
    layout = cover.dtype == "float64" and cover.flags.c_contiguous and cover.flags.aligned
    if not layout or cover.shape != nodes.shape:
        return f"expected covers of float64 {nodes.shape}, got {cover.dtype} {cover.shape}"
    if not ((cover > 0) & (cover < np.inf)).all():
        return "a cover is not above 0"
    distance = distances(nodes)
    parents = np.flatnonzero(distance)
    left = parents + distance[parents]
    with np.errstate(over="ignore"):
        apart = np.abs(cover[left] + cover[left + 1] - cover[parents])
    if not (apart <= _ROUNDING * cover[parents]).all():
        return "covers of children do not add up to their parent's"
    return None
