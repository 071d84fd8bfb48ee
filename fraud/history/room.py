"""Transactions of keys that a full store has no room for: they take nothing from those that it has."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraud.errors import FullHistoryError
from fraud.history.batch import Batch
from fraud.history.layout import Layout
from fraud.history.store import Store
from fraud.history.stores import AnyStore


class Added(NamedTuple):
    """Features as ``Store.add`` gives them; of how many rows a key had no room, which is missing then, and why."""

    features: NDArray[np.float64]
    left_out: int = 0
    error: FullHistoryError | None = None


def add(store: AnyStore, layouts: Sequence[Layout], batch: Batch) -> Added:
    """Add transactions, with the gate held; where there is no room for new keys, to the histories of all others.

    Who makes up card numbers may fill the store: the cards that it knows keep their histories. Raises HistoryError.
    """
    try:
        return Added(store.add(batch))
    except FullHistoryError as error:
        if not isinstance(store, Store):  # Redis has no room for anything
            raise
        keys = [_known(store, one, own) for one, own in zip(layouts, batch.keys, strict=True)]
        rows = zip(*batch.keys, strict=True), zip(*keys, strict=True)
        left_out = sum(before != after for before, after in zip(*rows, strict=True))
        return Added(store.add(batch._replace(keys=keys)), left_out, error)


def _known(store: AnyStore, layout: Layout, keys: Sequence[bytes | None]) -> list[bytes | None]:
    """Without those that were never seen."""
    distinct = [key for key in dict.fromkeys(keys) if key is not None]
    there = {key for key, state in zip(distinct, store.states(layout, distinct), strict=True) if state}
    return [key if key in there else None for key in keys]
