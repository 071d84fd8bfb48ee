"""The exact, pickle-free scorer of a fitted forest: what the service loads and what every score comes from.

A fitted scikit-learn forest is laid out as flat arrays, one entry a node, all trees behind one another
(``fraud.scorer.from_sklearn``). Scores equal ``predict_proba`` of scikit-learn (``n_jobs=1``) bit for bit:

* scikit-learn casts inputs to float32 and compares with float64 thresholds; for a float32 ``x``, ``x <= t`` holds
  exactly when ``x <= floor32(t)``, the largest float32 not above ``t``. The arrays hold ``floor32(t)``.
* leaf values are added tree by tree in float64 from zero, then divided once, in scikit-learn's order.
* a missing value (NaN) goes to the side that each node chose in training: ``fraud.scorer.cells``.

Two engines walk the arrays: ``fraud.scorer.kernel``, compiled, and where that cannot run
``fraud.scorer.numpy_walk``. ``fraud.scorer.order`` says how a node is written, ``fraud.scorer.file`` keeps the arrays.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fraud.errors import ModelError
from fraud.scorer import cells, kernel, numpy_walk, order

Engine = Literal["kernel", "numpy"]

_ROWS = 16_384  # scored in one call: 16 ms, so that threads share evenly and Ctrl-C is heard
_FEWEST = 1_024  # rows that are worth a thread


@dataclass(frozen=True)
class Forest:
    """Flat arrays of a binary classification forest. One that exists is safe to walk; else ModelError is raised.

    ``roots``: int32 ``(trees,)``, ascending, the first node of each tree. ``nodes``: uint64 ``(nodes,)``, as
    ``fraud.scorer.order`` writes them; the column is a cell (``fraud.scorer.cells``). ``value``: float64 ``(nodes,)``,
    the share of fraud. ``nullable``: places of the features that may be NaN, ascending. ``cover``: float64
    ``(nodes,)``, the weight of the training rows that came to each node; None in files of before. ``prefer``: the
    engine to score with if it can run.
    """

    roots: NDArray[np.int32]
    nodes: NDArray[np.uint64]
    value: NDArray[np.float64]
    n_features: int
    nullable: tuple[int, ...] = ()
    cover: NDArray[np.float64] | None = None
    prefer: Engine = "kernel"

    def __post_init__(self) -> None:
        """Refuse arrays that a walk could leave, or would never end in."""
        problem = cells.problem(self.n_features, self.nullable) or order.problem(
            self.roots, self.nodes, self.value, self.n_features + len(self.nullable)
        )
        if not problem and self.cover is not None:
            problem = order.cover_problem(self.nodes, self.cover)
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
        return self._bound[0]

    @cached_property
    def _bound(self) -> tuple[Engine, kernel.Walk]:
        """The engine's name and its function, which takes features."""
        arrays = (self.roots, self.nodes, self.value, self.n_features + len(self.nullable))
        compiled = kernel.bind(*arrays) if self.prefer == "kernel" else None
        name: Engine = "numpy" if compiled is None else "kernel"
        walk = compiled or numpy_walk.bind(*arrays)
        return name, cells.filled_before(walk, self.n_features, self.nullable) if self.nullable else walk

    def features_of(self, nodes: order.Nodes) -> NDArray[np.int64]:
        """Feature that each of these inner nodes looks at, ``(n,)``, in whichever of its cells."""
        return cells.features(self.n_features, self.nullable)[order.columns(nodes)]

    def score(self, features: NDArray[np.float32], threads: int = 1) -> NDArray[np.float64]:
        """Probability of fraud of each row.

        ``features``: float32 ``(n, n_features)``, as ``fraud.features.transform`` gives them: finite, or NaN where
        nullable. NaN elsewhere is the caller's mistake: the row's score is then no score of scikit-learn's. ``threads``
        share the rows when there are many. Returns float64 ``(n,)`` in 0..1. Raises ValueError on another shape or
        type: a silent cast would change scores.
        """
        if features.ndim != 2 or features.shape[1] != self.n_features or features.dtype != np.float32:
            raise ValueError(
                f"expected float32 features of shape (n, {self.n_features}), got {features.dtype} {features.shape}"
            )
        scores = np.empty(len(features), dtype=np.float64)
        _, walk = self._bound
        size = max(_FEWEST, min(_ROWS, -(-len(features) // threads)))
        if len(features) <= size:
            walk(np.ascontiguousarray(features), scores)
            return scores

        def part(start: int) -> None:
            walk(np.ascontiguousarray(features[start : start + size]), scores[start : start + size])

        starts = range(0, len(features), size)
        if threads == 1:
            for start in starts:
                part(start)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(part, starts))
        return scores
