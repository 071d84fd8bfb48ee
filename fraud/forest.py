"""The exact, pickle-free scorer of a fitted forest: what the service loads and what every score comes from.

A fitted scikit-learn forest is laid out as flat arrays, one entry a node, all trees behind one another. Scores
equal ``predict_proba`` of scikit-learn (``n_jobs=1``) bit for bit:

* scikit-learn casts inputs to float32 and compares with float64 thresholds; for a float32 ``x``, ``x <= t`` holds
  exactly when ``x <= floor32(t)``, the largest float32 not above ``t``. The arrays hold ``floor32(t)``.
* leaf values are added tree by tree in float64 from zero, then divided once, in scikit-learn's order.

The walk is plain NumPy: all trees and rows of a block go down one level at a time. The file is the safetensors
format (https://huggingface.co/docs/safetensors), which runs no code when it is read.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraud.errors import ModelError
from fraud.schema import COLUMNS

FORMAT = "fraud-forest"
FORMAT_VERSION = 1

_LANES = 16_384  # tree-row pairs walked at once: the state stays in the processor's cache
_ROWS = 2_048  # rows of one block: a tree's nodes are read again while they are still near


@dataclass(frozen=True)
class Forest:
    """Flat arrays of a binary classification forest.

    ``roots``: int32 ``(trees,)``, ascending, the first node of each tree. ``feature``: int32 ``(nodes,)``, the column
    a node looks at. ``threshold``: float32 ``(nodes,)``, rounded down. ``children``: int32 ``(nodes, 2)``, where to go
    when ``x <= threshold`` and when not; a leaf points at itself. ``value``: float64 ``(nodes,)``, the share of fraud.
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    children: NDArray[np.int32]
    value: NDArray[np.float64]
    n_features: int

    @property
    def n_trees(self) -> int:
        """How many trees vote."""
        return len(self.roots)

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probability of fraud of each row.

        ``features``: float32 ``(n, n_features)``, finite, as ``fraud.features.transform`` gives them. Returns float64
        ``(n,)`` in 0..1. Raises ValueError on another shape or type: a silent cast would change scores.
        """
        if features.ndim != 2 or features.shape[1] != self.n_features or features.dtype != np.float32:
            raise ValueError(
                f"expected float32 features of shape (n, {self.n_features}), got {features.dtype} {features.shape}"
            )
        scores = np.empty(len(features), dtype=np.float64)
        for start in range(0, len(features), _ROWS):
            block = np.ascontiguousarray(features[start : start + _ROWS])
            scores[start : start + _ROWS] = self._score_block(block)
        return scores

    def _score_block(self, block: NDArray[np.float32]) -> NDArray[np.float64]:
        total = np.zeros((1, len(block)), dtype=np.float64)
        step = max(1, _LANES // max(1, len(block)))
        for start in range(0, self.n_trees, step):
            leaves = self._walk(block, self.roots[start : start + step])
            # accumulate adds strictly in tree order; sum() would not
            total = np.add.accumulate(np.concatenate([total, self.value[leaves]]), axis=0)[-1:]
        scores: NDArray[np.float64] = total[0] / self.n_trees
        return scores

    def _walk(self, block: NDArray[np.float32], roots: NDArray[np.int32]) -> NDArray[np.int32]:
        """Leaf of each tree and row: int32 ``(len(roots), len(block))``."""
        values = block.ravel()
        offsets = np.tile(np.arange(len(block), dtype=np.int32) * self.n_features, len(roots))
        result = np.repeat(roots, len(block))
        lanes = np.arange(len(result))
        nodes = result.copy()
        children = self.children.ravel()
        while len(lanes):
            right = values.take(offsets + self.feature.take(nodes)) > self.threshold.take(nodes)
            below = children.take(2 * nodes + right)
            moving = below != nodes
            if not moving.all():
                done = ~moving
                result[lanes[done]] = nodes[done]
                lanes, offsets, below = lanes[moving], offsets[moving], below[moving]
            nodes = below
        return result.reshape(len(roots), len(block))


def from_sklearn(model: Any) -> Forest:  # noqa: ANN401 - scikit-learn ships no types
    """Lay out a fitted scikit-learn forest classifier as flat arrays.

    Raises ModelError unless it is a forest over the two classes 0 and 1 with one output.
    """
    classes = getattr(model, "classes_", None)
    if classes is None or not hasattr(model, "estimators_") or not hasattr(model, "n_outputs_"):
        raise ModelError(f"expected a fitted forest classifier, got {type(model).__name__}")
    if model.n_outputs_ != 1 or list(classes) != [0, 1]:
        raise ModelError(f"expected a forest over the classes 0 and 1, got {classes!r}")
    trees = [tree.tree_ for tree in model.estimators_]
    roots = np.cumsum([0, *(tree.node_count for tree in trees)])
    if roots[-1] >= 2**30:
        raise ModelError(f"{roots[-1]} nodes are more than the format can number; use fewer or shallower trees")
    parts = [_tree_arrays(tree, int(root)) for tree, root in zip(trees, roots, strict=False)]
    feature, threshold, children, value = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Forest(roots[:-1].astype(np.int32), feature, threshold, children, value, int(model.n_features_in_))


def _tree_arrays(tree: Any, root: int) -> tuple[NDArray[Any], ...]:  # noqa: ANN401
    leaf = tree.children_left < 0
    own = np.arange(tree.node_count)
    children = np.stack([tree.children_left, tree.children_right], axis=1)
    children = np.where(leaf[:, None], own[:, None], children) + root
    return (
        np.where(leaf, 0, tree.feature).astype(np.int32),
        np.where(leaf, np.float32(0), floor32(tree.threshold)),
        children.astype(np.int32),
        tree.value[:, 0, 1].astype(np.float64),
    )


def floor32(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 not above each float64 threshold."""
    with np.errstate(over="ignore"):  # beyond float32 it is an infinity, which compares as it should
        rounded = thresholds.astype(np.float32)
        below = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded.astype(np.float64) > thresholds, below, rounded)


@dataclass(frozen=True)
class Probes:
    """Rows with the scores scikit-learn gave them when the model was saved.

    ``rows``: float64 ``(n, 30)`` raw transactions; ``scores``: float64 ``(n,)``. Made up, never customers' rows.
    """

    rows: NDArray[np.float64]
    scores: NDArray[np.float64]


def save(path: Path, forest: Forest, probes: Probes) -> None:
    """Write forest and probes to ``path`` in the format that ``load`` reads."""
    from safetensors.numpy import save_file

    tensors = {name: getattr(forest, name) for name in _TYPES}
    tensors |= {"probe_rows": probes.rows, "probe_scores": probes.scores}
    # safetensors writes memory as it lies and the C-order shape: anything but C order would come back scrambled
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    # one key: safetensors writes several in any order, and equal models should be equal files
    facts = {"format": FORMAT, "version": FORMAT_VERSION, "n_features": forest.n_features}
    save_file(tensors, path, metadata={"forest": json.dumps(facts)})


def load(path: Path) -> tuple[Forest, Probes]:
    """Read and check a scorer file. Raises ModelError when it is missing, damaged or of another format."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            facts = dict(json.loads((file.metadata() or {}).get("forest", "{}")))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: the scorer file cannot be read ({error}); pull or train the model again") from None
    if (facts.get("format"), facts.get("version")) != (FORMAT, FORMAT_VERSION):
        raise ModelError(f"{path}: expected a {FORMAT} file of version {FORMAT_VERSION}, got {facts}")
    problem = _damage(tensors, facts)
    if problem:
        raise ModelError(f"{path}: the scorer file is damaged ({problem}); pull or train the model again")
    forest = Forest(**{name: tensors[name] for name in _TYPES}, n_features=facts["n_features"])
    return forest, Probes(tensors["probe_rows"], tensors["probe_scores"])


_TYPES = {
    "roots": np.int32,
    "feature": np.int32,
    "threshold": np.float32,
    "children": np.int32,
    "value": np.float64,
}


def _damage(tensors: dict[str, NDArray[Any]], facts: dict[str, Any]) -> str | None:
    """What would let a walk leave the arrays or never end, or None. Children lie behind their parent, in its tree."""
    expected = {**_TYPES, "probe_rows": np.float64, "probe_scores": np.float64}
    if {name: tensor.dtype for name, tensor in tensors.items()} != expected:
        return f"arrays {sorted(tensors)} are not {sorted(expected)} of the expected types"
    roots, feature, children = tensors["roots"], tensors["feature"], tensors["children"]
    trees, nodes, probes = roots.size, feature.size, tensors["probe_scores"].size
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("feature", "threshold", "value"), (nodes,))
    shapes |= {"children": (nodes, 2), "roots": (trees,)}
    shapes |= {"probe_rows": (probes, len(COLUMNS)), "probe_scores": (probes,)}
    if not trees or not nodes or {name: tensor.shape for name, tensor in tensors.items()} != shapes:
        return "the arrays differ in length"
    if roots[0] != 0 or (np.diff(roots) <= 0).any() or roots[-1] >= nodes:
        return "the tree starts are not ascending"
    own = np.arange(nodes)
    ends = np.append(roots[1:], nodes)[np.searchsorted(roots, own, side="right") - 1]
    leaf = (children == own[:, None]).all(axis=1)
    inside = (children > own[:, None]).all(axis=1) & (children < ends[:, None]).all(axis=1)
    if not (leaf | inside).all():
        return f"node {int(np.argmin(leaf | inside))} points outside its tree"
    n_features = facts.get("n_features")
    if not isinstance(n_features, int) or feature.min() < 0 or feature.max() >= n_features:
        return "a node looks at a feature that is not there"
    if np.isnan(tensors["threshold"]).any() or not ((tensors["value"] >= 0) & (tensors["value"] <= 1)).all():
        return "a threshold or leaf value is out of range"
    return None
