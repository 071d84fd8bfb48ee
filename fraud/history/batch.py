"""Transactions as the store adds them: whose they are, when, and what they add, of each history."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraud.history.amounts import times_of, values_of
from fraud.history.keys import bytes_of
from fraud.history.layout import MOST, Layout
from fraud.rows import Texts
from fraud.schema import Schema


class Batch(NamedTuple):
    """Transactions in their order. Of each layout ``keys``: 16 bytes a row, None for no key; ``values``: int64 ``(n,
    sums)``. ``names``: ids, or empty. ``times``: int64 ``(n,)``."""

    names: Sequence[str]
    times: NDArray[np.int64]
    keys: Sequence[Sequence[bytes | None]]
    values: Sequence[NDArray[np.int64]]

    def only(self, rows: Sequence[int]) -> "Batch":
        """Some of them."""
        return Batch(
            [self.names[row] for row in rows],
            self.times[[*rows]],
            [[keys[row] for row in rows] for keys in self.keys],
            [values[[*rows]] for values in self.values],
        )


def joined(batches: Sequence[Batch]) -> Batch:
    """All of them as one; at least one."""
    if len(batches) == 1:
        return batches[0]
    return Batch(
        [name for one in batches for name in one.names],
        np.concatenate([one.times for one in batches]),
        [[key for own in keys for key in own] for keys in zip(*[one.keys for one in batches], strict=True)],
        [np.concatenate(own) for own in zip(*[one.values for one in batches], strict=True)],
    )


def reader(
    schema: Schema, layouts: Sequence[Layout]
) -> Callable[[NDArray[np.float64], Sequence[Texts], Sequence[str]], Batch]:
    """What makes a batch of rows ``(n, inputs)``, their texts and their ids: the same as ``amounts``, all at once."""
    texts = schema.of_kind("category", "key")
    places = [texts.index(one.declared.key) for one in layouts]
    columns = [[schema.inputs.index(name) for name in one.declared.columns] for one in layouts]
    wanted = [column for own in columns for column in own]
    scales = np.array([scale for one in layouts for scale in one.scales])
    ends = np.cumsum([len(own) for own in columns])
    cuts = [slice(int(end) - len(own), int(end)) for end, own in zip(ends, columns, strict=True)]

    def read(rows: NDArray[np.float64], texts: Sequence[Texts], names: Sequence[str]) -> Batch:
        keys = [[None if (key := own[place]) is None else bytes_of(key) for own in texts] for place in places]
        scaled = np.maximum(np.minimum(rows[:, wanted] * scales, MOST), -MOST)
        if np.isnan(scaled.sum()):
            values = [values_of(rows, schema, one) for one in layouts]
        else:
            whole = np.rint(scaled).astype(np.int64)
            values = [np.ascontiguousarray(whole[:, cut]) for cut in cuts]
        return Batch(names, times_of(rows, schema), keys, values)

    return read
