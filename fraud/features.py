"""The one feature path: raw rows in, model inputs out. Training and serving both call it.

Only correctly rounded operations are used, in a stated order, so a row gives the same features alone, in a batch, and
on any machine. Trees do not change under monotone transforms, so there is no scaling and no logarithm.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fraud.errors import SchemaError
from fraud.inputs import derived, summaries, times
from fraud.inputs.encoding import EMPTY, Encoding
from fraud.inputs.summaries import Summaries
from fraud.schema import Schema, default
from fraud.scorer import summing
from fraud.scorer.summing import Summarize

_worked_out: Any = field(init=False, repr=False, compare=False)


@dataclass(frozen=True)
class FeaturePath:
    """From rows of ``schema`` to what a forest takes; ``encoding`` is what the model has learnt of categories, and
    ``summaries`` of whole rows, if it has.

    Raises SchemaError when the encoding is not one of the schema's categories.
    """

    schema: Schema
    encoding: Encoding = EMPTY
    summaries: Summaries | None = None
    _width: tuple[int, int, int] = _worked_out
    """Of a row, of one with its histories, and of its features."""
    _copied: tuple[tuple[slice, slice], ...] = _worked_out
    """Where plain columns go, and where they come from; a slice is copied five times as fast as a list of columns."""
    _encoded: "_Tables | None" = _worked_out
    _derived: tuple[tuple[int, str | None, tuple[tuple[int, derived.Derived], ...]], ...] = _worked_out
    """Of each time where it stands, its zone, and what is made of it: where that goes, and how."""
    _summarize: Summarize | None = _worked_out

    def __post_init__(self) -> None:
        """Work out once what each row needs."""
        if set(self.encoding.columns) != set(self.schema.categories):
            raise SchemaError(
                f"the encoding is of {sorted(self.encoding.columns)}, the schema's categories are "
                f"{sorted(self.schema.categories)}"
            )
        if self.summaries and len(self.summaries.mean) != len(self.schema.features):
            raise SchemaError(
                f"the summaries are of {len(self.summaries.mean)} features, the schema has {len(self.schema.features)}"
            )
        inputs, columns = self.schema.inputs, self.schema.columns
        place = {name: self.names.index(name) for name in self.names}
        held = (*inputs, *self.schema.histories)
        plain = [name for name in self.names if name in held and name not in self.encoding.columns]
        worked_out = {
            "_width": (len(inputs), len(held), len(self.names)),
            "_copied": _runs([(place[name], held.index(name)) for name in plain]),
            "_encoded": _Tables.of(self.encoding, place, inputs) if self.encoding.columns else None,
            "_derived": tuple(
                (
                    inputs.index(time),
                    columns[time].zone,
                    tuple(
                        (place[name], derived.BY_NAME[how])
                        for name, source, how in self.schema.derived
                        if source == time
                    ),
                )
                for time in dict.fromkeys(source for _, source, _ in self.schema.derived)
            ),
            "_summarize": self.summaries and _bound(self.summaries),
        }
        for name, value in worked_out.items():
            object.__setattr__(self, name, value)

    @property
    def names(self) -> tuple[str, ...]:
        """The model's inputs, in column order of what ``transform`` returns."""
        return (*self.schema.features, *summaries.NAMES) if self.summaries else self.schema.features

    @property
    def width(self) -> int:
        """Columns of a row with all that it may hold."""
        return self._width[1]

    @property
    def nullable(self) -> tuple[int, ...]:
        """Places of the features that may be NaN, ascending: missing categories have a code."""
        sources = {name: source for name, source, _ in self.schema.derived}
        missing = {name for name, column in self.schema.columns.items() if column.missing} | {*self.schema.histories}
        return tuple(
            place
            for place, name in enumerate(self.names)
            if name not in self.encoding.columns and sources.get(name, name) in missing
        )

    def transform(self, rows: NDArray[np.float64]) -> NDArray[np.float32]:
        """Turn rows into model inputs.

        ``rows``: float64 ``(n, inputs)`` in the order of ``schema.inputs``, levels of categories as places in those of
        ``encoding``; or ``(n, width)``, with ``schema.histories`` behind them, which are missing otherwise. Returns
        float32 ``(n, features)`` in the order of ``names``, C-contiguous. Of a time only what is derived is kept: a
        date of the past never comes again. Raises ValueError on another shape.
        """
        inputs, width, features_wide = self._width
        if rows.ndim != 2 or rows.shape[1] not in (inputs, width):
            raise ValueError(f"expected rows of shape (n, {inputs}), got {rows.shape}")
        if rows.shape[1] != width:
            rows = np.pad(rows, ((0, 0), (0, width - inputs)), constant_values=np.nan)
        features = np.empty((len(rows), features_wide), dtype=np.float32)
        for to, source in self._copied:
            features[:, to] = rows[:, source]
        if self._encoded is not None:
            features[:, self._encoded.places] = self._encoded.codes(rows)
        for column, zone, made in self._derived:
            clock = times.local(rows[:, column], zone)
            for place, feature in made:
                features[:, place] = feature.make(clock)
        if self._summarize is not None:
            self._summarize(features)
        return features

    def summed_up(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features ``(n, len(schema.features))`` with their summaries behind them."""
        whole = np.empty((len(features), len(self.names)), dtype=np.float32)
        whole[:, : features.shape[1]] = features
        if self._summarize is not None:
            self._summarize(whole)
        return whole

    def logged(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features without their summaries, which follow from them."""
        return np.ascontiguousarray(features[:, : len(self.schema.features)]) if self.summaries else features

    def __reduce__(self) -> tuple[Any, ...]:
        """What is pickled: what it was made of."""
        return FeaturePath, (self.schema, self.encoding, self.summaries)


@dataclass(frozen=True, eq=False)
class _Tables:
    """The codes of all categories, one behind the other, so that those of a row are looked up at once."""

    places: list[int]
    """Where the codes go."""
    sources: list[int]
    """Where the levels come from."""
    starts: NDArray[np.float64]
    """Where the code of the first level of each category stands; that of other texts is before it."""
    missing: NDArray[np.float64]
    """Where that of a missing value stands."""
    table: NDArray[np.float32]

    @classmethod
    def of(cls, encoding: Encoding, place: Mapping[str, int], inputs: Sequence[str]) -> Self:
        """Those of an encoding."""
        tables = [(one.other, *one.codes, one.missing) for one in encoding.columns.values()]
        ends = np.cumsum([len(table) for table in tables])
        starts = ends - [len(table) - 1 for table in tables]
        names = list(encoding.columns)
        return cls(
            [place[name] for name in names],
            [inputs.index(name) for name in names],
            starts.astype(np.float64),
            (ends - 1).astype(np.float64),
            np.concatenate([np.array(table, dtype=np.float32) for table in tables]),
        )

    def codes(self, rows: NDArray[np.float64]) -> NDArray[np.float32]:
        """Codes ``(n, categories)`` of rows ``(n, inputs)``, which hold places of levels, -1 for any other text."""
        levels = rows[:, self.sources]
        at = np.where(np.isnan(levels), self.missing, levels + self.starts)
        return self.table[at.astype(np.intp)]


def _bound(by: Summaries) -> Summarize:
    return summing.bind(*(np.array(one) for one in (by.mean, by.scale, by.start, by.weights)))


def _runs(pairs: Sequence[tuple[int, int]]) -> tuple[tuple[slice, slice], ...]:
    """Pairs of places as pairs of slices, as long as they can be."""
    runs: list[tuple[int, int, int]] = []
    for target, source in pairs:
        if runs and (target, source) == (runs[-1][0] + runs[-1][2], runs[-1][1] + runs[-1][2]):
            runs[-1] = (*runs[-1][:2], runs[-1][2] + 1)
        else:
            runs.append((target, source, 1))
    return tuple((slice(target, target + size), slice(source, source + size)) for target, source, size in runs)


@cache
def of_default() -> FeaturePath:
    """The path of the default schema."""
    return FeaturePath(default())


def transform(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    """``FeaturePath.transform`` for the default schema."""
    return of_default().transform(rows)
