"""Reference profile: how the training rows and validation scores spread over bins, the yardstick for drift."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fraud.features import FeaturePath
from fraud.inputs import cuts
from fraud.inputs.cuts import PLAIN, Cut, LevelBins
from fraud.manifest import BINS, Bins, Manifest

SCORE = "score"
SCORE_EDGES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Upper edges of the score's bins; most scores are near 0, so quantiles would fall together."""
_TRUTH_EDGES = (0.0,)

Values = NDArray[np.float64]
_worked_out: Any = field(init=False, repr=False, compare=False)


@dataclass(frozen=True)
class Profile:
    """Bins of each feature and of the score.

    ``names``: the features, then ``score``. ``edges``: float64 ``(len(names), BINS - 1)``, ascending upper edges
    (inclusive) padded with infinity where a feature has fewer distinct values. ``ratios``: float64
    ``(len(names), bins)``, the share of reference rows in each bin, padded with 0 where another has more bins.
    ``cuts``: what the bins of each are; without them all are of plain numbers.
    """

    names: tuple[str, ...]
    edges: Values
    ratios: Values
    cuts: tuple[Cut, ...] = ()
    _missing: NDArray[np.intp] | None = _worked_out
    """What takes each column's NaN, which is above no edge, to its bin; None where there is no such bin."""
    _levels: LevelBins | None = _worked_out

    def __post_init__(self) -> None:
        """Work out once what counting needs."""
        found = self.cuts or (PLAIN,) * len(self.names)
        missing = [cut.labels.index(cuts.MISSING) if cut.missing else 0 for cut in found]
        object.__setattr__(self, "cuts", found)
        object.__setattr__(self, "_missing", np.array(missing, dtype=np.intp) if any(missing) else None)
        object.__setattr__(self, "_levels", LevelBins.of(found))

    def watched(self, rows: Values, features: NDArray[np.float32], scores: Values) -> Values:
        """What is counted, float64 ``(n, len(names))``: features ``(n, k)`` and scores ``(n,)``, but of categories the
        places of their levels, as rows ``(n, inputs)`` hold them.
        """
        values: Values = np.column_stack([features, scores])
        if self._levels is not None:
            values[:, self._levels.at] = rows[:, self._levels.columns]
        return values

    def count(self, watched: Values) -> NDArray[np.int64]:
        """Rows in each bin, int64 of the shape of ``ratios``, of what ``watched`` gives."""
        return _counted(watched, self.ratios.shape[1], self._bins)

    def counts(self, rows: Values, features: NDArray[np.float32], scores: Values) -> NDArray[np.int64]:
        """Both at once."""
        return self.count(self.watched(rows, features, scores))

    def _bins(self, watched: Values) -> NDArray[np.int64]:
        found = _above(watched, self.edges)
        if self._missing is not None:
            found += np.isnan(watched) * self._missing
        if self._levels is not None:
            found[:, self._levels.at] = self._levels.bins(watched[:, self._levels.at])
        return found

    def without_score(self) -> "Profile":
        """That of the features alone."""
        return Profile(self.names[:-1], self.edges[:-1], self.ratios[:-1], self.cuts[:-1])

    def as_bins(self) -> dict[str, Bins]:
        """As a manifest holds it: by name, without the padding."""
        return dict(map(_as_bins, self.names, self.edges, self.ratios, self.cuts))

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """That of a model. Raises SchemaError when this code does not know its schema."""
        return cls.from_bins(manifest.profile, manifest.schema_of().inputs)

    @classmethod
    def from_bins(cls, bins: Mapping[str, Bins], inputs: Sequence[str] = ()) -> Self:
        """Read what ``as_bins`` gave; ``inputs`` are the columns of the rows, where a category is among the names."""
        edges = [_padded(np.asarray(part.edges, dtype=np.float64)) for part in bins.values()]
        ratios = [[*part.ratios, *_beside(part).values()] for part in bins.values()]
        width = max(BINS, *map(len, ratios))
        found = tuple(_cut(part, name, inputs) for name, part in bins.items())
        return cls(tuple(bins), np.stack(edges), np.array([row + [0.0] * (width - len(row)) for row in ratios]), found)


def bin_counts(values: Values, edges: Values) -> NDArray[np.int64]:
    """Count each column's values per bin: ``(n, k)`` values and ``(k, bins - 1)`` edges give int64 ``(k, bins)``."""
    return _counted(values, edges.shape[1] + 1, lambda part: _above(part, edges))


def _counted(values: Values, bins: int, bins_of: Callable[[Values], NDArray[np.int64]]) -> NDArray[np.int64]:
    columns = values.shape[1]
    total = np.zeros(columns * bins, dtype=np.int64)
    first = np.arange(columns) * bins
    for start in range(0, len(values), 512):  # bounded memory on bulk input
        codes = bins_of(values[start : start + 512]) + first
        total += np.bincount(codes.ravel(), minlength=columns * bins)
    return total.reshape(columns, bins)


def _above(values: Values, edges: Values) -> NDArray[np.int64]:
    found: NDArray[np.int64] = (values[:, :, None] > edges).sum(axis=2)
    return found


def reference(path: FeaturePath, rows: Values, scores: Values) -> Profile:
    """Profile of reference rows ``(n, inputs)``, cut by what the features of ``path`` are; scores as in ``build``."""
    found = cuts.of_rows(path.schema, path.encoding.levels, rows)
    found += (cuts.Cut(),) * (len(path.names) - len(found))  # summaries
    return build(path.names, path.transform(rows), scores, found, rows)


def build(
    names: tuple[str, ...],
    features: NDArray[np.float32],
    scores: Values,
    found: tuple[Cut, ...] = (),
    rows: Values | None = None,
) -> Profile:
    """Profile of reference rows.

    ``features``: float32 ``(n, len(names))`` of the training rows, numbers cut at their deciles. ``scores``: float64
    ``(m,)`` of rows that the scoring forest did not see; scores of its own training rows would be too sure. ``found``:
    how each feature is cut, with the ``rows`` where one is a category; without it all are plain numbers.
    """
    found = found or (PLAIN,) * len(names)
    edges = np.stack([*map(_edges, features.T, found), np.asarray(SCORE_EDGES)])
    width = max(BINS, *(len(cut.labels) for cut in found))
    empty = Profile((*names, SCORE), edges, np.zeros((len(edges), width)), (*found, PLAIN))
    nothing = np.empty((len(features), 0))
    counts = empty.counts(nothing if rows is None else rows, features, np.zeros(len(features)))
    counts[-1, :BINS] = bin_counts(scores[:, None], edges[-1:])
    return Profile(empty.names, edges, counts / counts.sum(axis=1, keepdims=True), empty.cuts)


def _edges(column: NDArray[np.float32], cut: Cut) -> Values:
    if cut.levels is not None:
        return _padded(np.asarray(_TRUTH_EDGES if cut.places is None else (), dtype=np.float64))
    known = column[~np.isnan(column)] if cut.missing else column
    return _deciles(known) if len(known) else _padded(np.empty(0))


def _deciles(column: NDArray[np.float32]) -> Values:
    inner = np.quantile(column, np.linspace(0, 1, BINS + 1)[1:-1], method="lower").astype(np.float64)
    return _padded(np.unique(inner))


def _padded(edges: Values) -> Values:
    return np.pad(edges, (0, BINS - 1 - len(edges)), constant_values=np.inf)


def _as_bins(name: str, edges: Values, ratios: Values, cut: Cut) -> tuple[str, Bins]:
    own = BINS if cut.levels is None else len(cut.levels)
    beside = dict(zip((word.strip("()") for word in cut.labels[own:]), ratios[own:].tolist(), strict=False))
    finite = tuple(edges[np.isfinite(edges)].tolist())
    return name, Bins(edges=finite, ratios=ratios[:own].tolist(), levels=cut.levels, places=cut.places, **beside)


def _beside(bins: Bins) -> dict[str, float]:
    """Shares of the bins beside the numbers or levels, in the order of ``Cut.labels``."""
    shares = {cuts.REST: bins.rest, cuts.MISSING: bins.missing, cuts.UNSEEN: bins.unseen}
    return {word: share for word, share in shares.items() if share is not None}


def _cut(bins: Bins, name: str, inputs: Sequence[str]) -> Cut:
    column = -1 if bins.places is None else inputs.index(name)
    there = _beside(bins)
    return Cut(bins.levels, bins.places, column, rest=cuts.REST in there, missing=cuts.MISSING in there)
