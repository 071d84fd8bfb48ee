"""The exact, pickle-free scorer of a fitted forest: what the service loads and what every score comes from.

A fitted scikit-learn forest is laid out as flat arrays, one entry a node, all trees behind one another
(``fraud.scorer.from_sklearn``). Scores equal ``predict_proba`` of scikit-learn (``n_jobs=1``) bit for bit:

* scikit-learn casts inputs to float32 and compares with float64 thresholds; for a float32 ``x``, ``x <= t`` holds
  exactly when ``x <= floor32(t)``, the largest float32 not above ``t``. The arrays hold ``floor32(t)``.
* leaf values are added tree by tree in float64 from zero, then divided once, in scikit-learn's order.

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
from fraud.scorer import kernel, numpy_walk, order

Engine = Literal["kernel", "numpy"]

_ROWS = 16_384  # scored in one call: 16 ms, so that threads share evenly and Ctrl-C is heard
_FEWEST = 1_024  # rows that are worth a thread


@dataclass(frozen=True)
class Forest:
    """Flat arrays of a binary classification forest. One that exists is safe to walk; else ModelError is raised.

    ``roots``: int32 ``(trees,)``, ascending, the first node of each tree. ``nodes``: uint64 ``(nodes,)``, as
    ``fraud.scorer.order`` writes them. ``value``: float64 ``(nodes,)``, the share of fraud. ``prefer``: the engine to
    score with if it can run.
    """

    roots: NDArray[np.int32]
    nodes: NDArray[np.uint64]
    value: NDArray[np.float64]
    n_features: int
    prefer: Engine = "kernel"

    def __post_init__(self) -> None:
        """Refuse arrays that a walk could leave, or would never end in."""
        problem = order.problem(self.roots, self.nodes, self.value, self.n_features)
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
        """The engine's name and its function."""
        arrays = (self.roots, self.nodes, self.value, self.n_features)
        compiled = kernel.bind(*arrays) if self.prefer == "kernel" else None
        return ("numpy", numpy_walk.bind(*arrays)) if compiled is None else ("kernel", compiled)

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
