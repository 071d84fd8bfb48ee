"""A fitted scikit-learn forest laid out as flat arrays: ``fraud.scorer.forest``."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraud.errors import ModelError
from fraud.scorer import order
from fraud.scorer.forest import Forest


def from_sklearn(model: Any) -> Forest:  # noqa: ANN401 - scikit-learn ships no types
    """Lay out a fitted scikit-learn forest classifier as flat arrays.

    Raises ModelError unless it is a forest over the two classes 0 and 1 with one output.
    """
    classes = getattr(model, "classes_", None)
    if classes is None or not hasattr(model, "estimators_") or not hasattr(model, "n_outputs_"):
        raise ModelError(f"expected a fitted forest classifier, got {type(model).__name__}")
    if model.n_outputs_ != 1 or list(classes) != [0, 1]:
        raise ModelError(f"expected a forest over the classes 0 and 1, got {classes!r}")
    if model.n_features_in_ > order.MOST_FEATURES:
        raise ModelError(f"expected at most {order.MOST_FEATURES} features, got {model.n_features_in_}")
    trees = [tree.tree_ for tree in model.estimators_]
    counts = [tree.node_count for tree in trees]
    if sum(counts) >= order.MOST_NODES or max(counts) >= order.MOST_DISTANCE:
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
    nodes = np.full(tree.node_count, order.LEAF)
    nodes[place[inner]] = order.inner_nodes(tree.threshold[inner], left - place[inner], tree.feature[inner])
    value = np.empty(tree.node_count)
    value[place] = tree.value[:, 0, 1]
    return nodes, value
