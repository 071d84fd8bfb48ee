"""A fitted scikit-learn forest laid out as flat arrays: ``fraud.scorer.forest``."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraud.errors import ModelError
from fraud.scorer import cells, order
from fraud.scorer.forest import Forest


def from_sklearn(model: Any, nullable: tuple[int, ...] = ()) -> Forest:  # noqa: ANN401 - scikit-learn ships no types
    """Lay out a fitted scikit-learn forest classifier, of random or extremely randomized trees, as flat arrays.

    ``nullable``: places of the features that may be NaN, ascending. Name each that may be missing when scored, whether
    or not it was in training. Raises ModelError unless the model is a forest over the two classes 0 and 1 with one
    output, and when it has more features than the format can number.
    """
    classes = getattr(model, "classes_", None)
    if classes is None or not hasattr(model, "estimators_") or not hasattr(model, "n_outputs_"):
        raise ModelError(f"expected a fitted forest classifier, got {type(model).__name__}")
    if model.n_outputs_ != 1 or list(classes) != [0, 1]:
        raise ModelError(f"expected a forest over the classes 0 and 1, got {classes!r}")
    n_features = int(model.n_features_in_)
    if problem := cells.problem(n_features, nullable):
        raise ModelError(problem)
    trees = [tree.tree_ for tree in model.estimators_]
    counts = [tree.node_count for tree in trees]
    if sum(counts) >= order.MOST_NODES or max(counts) >= order.MOST_DISTANCE:
        raise ModelError(f"{sum(counts)} nodes are more than the format can number; use fewer or shallower trees")
    arrays = (_tree_arrays(tree, n_features, nullable) for tree in trees)
    nodes, value, cover = map(np.concatenate, zip(*arrays, strict=True))
    roots = np.cumsum([0, *counts[:-1]]).astype(np.int32)
    return Forest(roots, nodes, value, n_features, nullable, cover)


def _tree_arrays(
    tree: Any,  # noqa: ANN401
    n_features: int,
    nullable: tuple[int, ...],
) -> tuple[NDArray[np.uint64], NDArray[np.float64], NDArray[np.float64]]:
    """Nodes, values and covers, siblings side by side, in the order of their parents."""
    inner = np.flatnonzero(tree.children_left >= 0)
    left = 1 + 2 * np.arange(len(inner))
    place = np.zeros(tree.node_count, dtype=np.int64)  # the root stays the first
    place[tree.children_left[inner]] = left
    place[tree.children_right[inner]] = left + 1
    goes_left = tree.missing_go_to_left[inner].astype(bool)
    columns = cells.chosen(tree.feature[inner], goes_left, n_features, nullable)
    nodes = np.full(tree.node_count, order.LEAF)
    nodes[place[inner]] = order.inner_nodes(tree.threshold[inner], left - place[inner], columns)
    value, cover = np.empty((2, tree.node_count))
    value[place], cover[place] = tree.value[:, 0, 1], tree.weighted_n_node_samples
    return nodes, value, cover
