"""The exact, pickle-free scorer of a fitted forest: what the service loads and what every score comes from.

A fitted scikit-learn forest is laid out as flat arrays, one entry a node, all trees behind one another. Scores
equal ``predict_proba`` of scikit-learn (``n_jobs=1``) bit for bit:

* scikit-learn casts inputs to float32 and compares with float64 thresholds; for a float32 ``x``, ``x <= t`` holds
  exactly when ``x <= floor32(t)``, the largest float32 not above ``t``. The arrays hold ``floor32(t)``.
* leaf values are added tree by tree in float64 from zero, then divided once, in scikit-learn's order.

Two engines walk the arrays: ``fraud.kernel``, compiled, and where that cannot run ``fraud.walk``, in NumPy.
``fraud.forest_file`` keeps the arrays in a file.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fraud import kernel, walk
from fraud.errors import ModelError

Engine = Literal["kernel", "numpy"]
LEAF = np.uint64(0xFFFFFFFF_00000000)
"""A leaf's node: no key is above its cut, so a walk stays."""
_LOWEST, _HIGHEST = 0x00800000, 0xFF800000  # keys of the infinities

_FEATURE_BITS = 8
_MOST_NODES = 2**30  # the NumPy walk doubles node numbers in int32
_MOST_DISTANCE = 2 ** (32 - _FEATURE_BITS)
_ROWS = 16_384  # scored in one call: 16 ms, so that threads share evenly and Ctrl-C is heard
_FEWEST = 1_024  # rows that are worth a thread


@dataclass(frozen=True)
class Forest:
    """Flat arrays of a binary classification forest. One that exists is safe to walk; else ModelError is raised.

    ``roots``: int32 ``(trees,)``, ascending, the first node of each tree. ``nodes``: uint64 ``(nodes,)``: in the upper
    half the cut, which is the threshold as ``fraud.walk.keys`` gives it; in the lower half the distance to the left
    child times 256 plus the column to look at. The right child is the next one; a leaf is ``LEAF``. ``value``: float64
    ``(nodes,)``, the share of fraud. ``prefer``: the engine to score with if it can run.
    """

    roots: NDArray[np.int32]
    nodes: NDArray[np.uint64]
    value: NDArray[np.float64]
    n_features: int
    prefer: Engine = "kernel"

    def __post_init__(self) -> None:
        """Refuse arrays that a walk could leave, or would never end in."""
        problem = _problem(self)
        if problem:
            raise ModelError(f"no sound forest: {problem}")

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: the arrays, not what was derived from them here."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def n_trees(self) -> int:
        """How many trees vote."""
        return len(self.roots)

    @property
    def engine(self) -> Engine:
        """What scores here: the compiled kernel, or NumPy where that cannot run or is not preferred."""
        return "numpy" if self._kernel is None else "kernel"

    @cached_property
    def cut(self) -> NDArray[np.uint32]:
        """Key of the threshold of each node, ``(nodes,)``."""
        return (self.nodes >> 32).astype(np.uint32)

    @cached_property
    def feature(self) -> NDArray[np.int32]:
        """Column that each node looks at, ``(nodes,)``; 0 at leaves."""
        columns: NDArray[np.int32] = (self.nodes % 2**_FEATURE_BITS).astype(np.int32)
        return columns

    @cached_property
    def children(self) -> NDArray[np.int32]:
        """Where to go when ``x <= threshold`` and when not, ``(nodes, 2)``; a leaf points at itself."""
        distance = _distances(self.nodes).astype(np.int32)
        left = np.arange(len(distance), dtype=np.int32) + distance
        return np.stack([left, left + (distance > 0)], axis=1)

    @cached_property
    def threshold(self) -> NDArray[np.float32]:
        """Threshold of each node, rounded down, ``(nodes,)``; 0 at leaves."""
        signed = (self.cut - np.uint32(0x80000000)).view(np.int32)
        bits = np.abs(signed).view(np.uint32) | (signed < 0) * np.uint32(0x80000000)
        return np.where(self.nodes == LEAF, np.float32(0), bits.view(np.float32))

    @cached_property
    def _kernel(self) -> kernel.Score | None:
        if self.prefer != "kernel":
            return None
        return kernel.bind(self.roots, self.nodes, self.value, self.n_features)

    def score(self, features: NDArray[np.float32], threads: int = 1) -> NDArray[np.float64]:
        """Probability of fraud of each row.

        ``features``: float32 ``(n, n_features)``, finite, as ``fraud.features.transform`` gives them. ``threads`` share
        the rows when there are many. Returns float64 ``(n,)`` in 0..1. Raises ValueError on another shape or type: a
        silent cast would change scores.
        """
        if features.ndim != 2 or features.shape[1] != self.n_features or features.dtype != np.float32:
            raise ValueError(
                f"expected float32 features of shape (n, {self.n_features}), got {features.dtype} {features.shape}"
            )
        scores = np.empty(len(features), dtype=np.float64)
        engine = self._kernel or partial(walk.score, self)
        size = max(_FEWEST, min(_ROWS, -(-len(features) // threads)))
        if len(features) <= size:
            engine(np.ascontiguousarray(features), scores)
            return scores

        def part(start: int) -> None:
            engine(np.ascontiguousarray(features[start : start + size]), scores[start : start + size])

        starts = range(0, len(features), size)
        if threads == 1:
            for start in starts:
                part(start)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(part, starts))
        return scores


def from_sklearn(model: Any) -> Forest:  # noqa: ANN401 - scikit-learn ships no types
    """Lay out a fitted scikit-learn forest classifier as flat arrays.

    Raises ModelError unless it is a forest over the two classes 0 and 1 with one output.
    """
    classes = getattr(model, "classes_", None)
    if classes is None or not hasattr(model, "estimators_") or not hasattr(model, "n_outputs_"):
        raise ModelError(f"expected a fitted forest classifier, got {type(model).__name__}")
    if model.n_outputs_ != 1 or list(classes) != [0, 1]:
        raise ModelError(f"expected a forest over the classes 0 and 1, got {classes!r}")
    if model.n_features_in_ > kernel.MOST_FEATURES:
        raise ModelError(f"expected at most {kernel.MOST_FEATURES} features, got {model.n_features_in_}")
    trees = [tree.tree_ for tree in model.estimators_]
    counts = [tree.node_count for tree in trees]
    if sum(counts) >= _MOST_NODES or max(counts) >= _MOST_DISTANCE:
        raise ModelError(f"{sum(counts)} nodes are more than the format can number; use fewer or shallower trees")
    nodes, values = zip(*map(_tree_arrays, trees), strict=True)
    roots = np.cumsum([0, *counts[:-1]]).astype(np.int32)
    return Forest(roots, np.concatenate(nodes), np.concatenate(values), int(model.n_features_in_))


def _tree_arrays(tree: Any) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:  # noqa: ANN401
    """Nodes and values, siblings side by side, in the order of their parents."""
    inner = np.flatnonzero(tree.children_left >= 0)
    left = 1 + 2 * np.arange(len(inner))
    place = np.zeros(tree.node_count, dtype=np.int64)  # the root stays the first
    place[tree.children_left[inner]] = left
    place[tree.children_right[inner]] = left + 1
    nodes = np.full(tree.node_count, LEAF)
    link = (left - place[inner]) * 2**_FEATURE_BITS + tree.feature[inner]
    nodes[place[inner]] = walk.keys(floor32(tree.threshold[inner])).astype(np.uint64) << 32 | link.astype(np.uint64)
    value = np.empty(tree.node_count)
    value[place] = tree.value[:, 0, 1]
    return nodes, value


def floor32(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 not above each float64 threshold."""
    with np.errstate(over="ignore"):  # beyond float32 it is an infinity, which compares as it should
        rounded = thresholds.astype(np.float32)
        below = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded.astype(np.float64) > thresholds, below, rounded)


def _distances(nodes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How far behind each node its left child is; 0 at leaves."""
    return (nodes.astype(np.uint32) >> _FEATURE_BITS).astype(np.int64)


def _layout(forest: Forest, size: int) -> list[tuple[NDArray[Any], str, tuple[int, ...]]]:
    return [
        (forest.roots, "int32", (forest.roots.size,)),
        (forest.nodes, "uint64", (size,)),
        (forest.value, "float64", (size,)),
    ]


def _problem(forest: Forest) -> str | None:
    """What would let a walk leave the arrays or never end, or None. Children lie behind their parent, in its tree."""
    roots, nodes, value = forest.roots, forest.nodes, forest.value
    size = len(value) if value.ndim == 1 else 0
    for array, dtype, shape in _layout(forest, size):
        if array.dtype != dtype or array.shape != shape or not (array.flags.c_contiguous and array.flags.aligned):
            return f"expected an array of {dtype} {shape}, got {array.dtype} {array.shape}"
    if not len(roots) or not size or size >= _MOST_NODES:
        return f"{len(roots)} trees of {size} nodes"
    if roots[0] != 0 or (np.diff(roots) <= 0).any() or roots[-1] >= size:
        return "the tree starts are not ascending"
    cut, distance = nodes >> 32, _distances(nodes)
    right = np.arange(size) + distance + 1
    ends = np.repeat(np.append(roots[1:], size), np.diff(np.append(roots, size)))
    leaf = nodes == LEAF
    inner = (distance > 0) & (right < ends) & (cut >= _LOWEST) & (cut <= _HIGHEST)
    if not (leaf | inner).all():
        return f"node {int(np.argmin(leaf | inner))} points outside its tree, or its threshold is no number"
    if not 0 < forest.n_features <= kernel.MOST_FEATURES or (nodes % 2**_FEATURE_BITS).max() >= forest.n_features:
        return "a node looks at a feature that is not there"
    if not ((value >= 0) & (value <= 1)).all():
        return "a leaf value is out of range"
    return None
