"""How a feature is cut into bins for drift, and what each bin is called: numbers at edges, the rest by level.

``fraud.profile`` counts rows by it, the metrics and ``monitoring drift`` show its words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fraud.inputs.levels import Levels
from fraud.manifest import BINS
from fraud.schema import Schema

MISSING, REST, UNSEEN = "(missing)", "(rest)", "(unseen)"
"""Bins of no value, of the levels that have no bin of their own, and of texts that the model does not know."""
TRUTHS = ("false", "true")
MOST_LEVELS = 7
"""Of a category that have a bin of their own; with the three words there are ten, as of a number."""
LONGEST = 40
"""Characters of a level in the name of its bin."""
NUMBERED = tuple(str(number) for number in range(BINS))


@dataclass(frozen=True)
class Cut:
    """Of one feature. A number has ten bins, ``levels`` are None; a boolean has its two, ``places`` are None.

    A category has those of its ``levels``, which are at ``places`` of what the model has learnt, and that of unseen
    texts; ``column`` is where a row holds its place. ``rest``, ``missing``: whether there is such a bin.
    """

    levels: tuple[str, ...] | None = None
    places: tuple[int, ...] | None = None
    column: int = -1
    rest: bool = False
    missing: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """What its bins are called, in order: no two alike, none empty."""
        own = NUMBERED if self.levels is None else _called(self.levels)
        there = {REST: self.rest, MISSING: self.missing, UNSEEN: self.places is not None}
        return (*own, *(word for word, is_there in there.items() if is_there))


PLAIN = Cut()


def _called(levels: Sequence[str]) -> tuple[str, ...]:
    """The texts, short, and such as Prometheus can write; one that is taken gets a ``~``."""
    names = [MISSING, REST, UNSEEN]
    for level in levels:
        name = level[:LONGEST].encode("utf-8", "replace").decode() or "(empty)"
        while name in names:
            name += "~"
        names.append(name)
    return tuple(names[3:])


def of_rows(schema: Schema, levels: Levels, rows: NDArray[np.float64]) -> tuple[Cut, ...]:
    """How to cut each of ``schema.features``, by reference rows ``(n, inputs)`` that hold places of ``levels``."""
    sources = {name: source for name, source, _ in schema.derived}
    return tuple(_of_feature(name, sources.get(name, name), schema, levels, rows) for name in schema.features)


def _of_feature(name: str, source: str, schema: Schema, levels: Levels, rows: NDArray[np.float64]) -> Cut:
    if name in schema.histories:
        return Cut(missing=True)
    column = schema.columns[source]
    if column.kind == "boolean":
        return Cut(TRUTHS, missing=column.missing)
    if column.kind != "category":
        return Cut(missing=column.missing)
    place = schema.inputs.index(name)
    found = _most_frequent(rows[:, place], len(levels[name]))
    own, more = tuple(levels[name][one] for one in found), len(levels[name]) > len(found)
    return Cut(own, found, place, rest=more, missing=column.missing)


def _most_frequent(places: NDArray[np.float64], levels: int) -> tuple[int, ...]:
    """Places of the levels with the most rows, those first; of as many rows the one that stands first."""
    counts = np.bincount(places[places >= 0].astype(np.intp), minlength=levels)
    return tuple(np.argsort(-counts, kind="stable")[:MOST_LEVELS].tolist())


@dataclass(frozen=True, eq=False)
class LevelBins:
    """The bin of each level of all categories, one table behind the other, so that those of a row are looked up at
    once.
    """

    at: list[int]
    """Which features they are."""
    columns: list[int]
    """Where a row holds their places."""
    starts: NDArray[np.float64]
    """Where the bin of the first level of each stands: before it those of a missing value and of an unseen text."""
    most: NDArray[np.float64]
    """The place from which on levels have no bin of their own."""
    table: NDArray[np.intp]

    @classmethod
    def of(cls, cuts: Sequence[Cut]) -> Self | None:
        """Those of the categories among ``cuts``; None where there are none."""
        found = [(at, cut, cut.places) for at, cut in enumerate(cuts) if cut.places is not None]
        if not found:
            return None
        tables = [_table(cut, places) for _, cut, places in found]
        ends = np.cumsum([len(table) for table in tables])
        sizes = np.array([len(table) for table in tables])
        return cls(
            [at for at, _, _ in found],
            [cut.column for _, cut, _ in found],
            (ends - sizes + 2).astype(np.float64),
            (sizes - 3).astype(np.float64),
            np.concatenate(tables),
        )

    def bins(self, places: NDArray[np.float64]) -> NDArray[np.intp]:
        """Bins ``(n, categories)`` of places ``(n, categories)``: -1 for an unseen text, NaN for none."""
        at = np.where(np.isnan(places), -2.0, np.minimum(places, self.most)) + self.starts
        return self.table[at.astype(np.intp)]


def _table(cut: Cut, places: Sequence[int]) -> NDArray[np.intp]:
    """The bin of a missing value, of an unseen text, of each place, and of every later place."""
    bin_of = {name: number for number, name in enumerate(cut.labels)}
    unseen = bin_of[UNSEEN]
    rest = bin_of.get(REST, unseen)
    table = np.full(max(places, default=-1) + 4, rest, dtype=np.intp)
    table[:2] = bin_of.get(MISSING, unseen), unseen
    table[np.array(places, dtype=np.intp) + 2] = np.arange(len(places))
    return table
