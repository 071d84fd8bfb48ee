"""The histories of rows that are all in memory: grouped by key, a few thousand keys at once, on all cores.

The rows of a key keep their order, and keys know nothing of one another: what comes of each row is what it would be a
row at a time. While a group is counted its states alone are in memory.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraud.history import engine
from fraud.history.amounts import times_of, values_of
from fraud.history.layout import Layout, layouts
from fraud.replay.ahead import in_order
from fraud.replay.keyed import Keyed, Keys
from fraud.schema import Schema

StatesOf = NDArray[np.uint8]
"""``(k, layout.size)``."""
Sink = Callable[[int, Keys, StatesOf], object]
"""Gets the number of a history, keys, and their states at the end; each key once."""
Begin = Callable[[int, Keys], StatesOf]
"""Gives the states that keys have before the first row; all zero for one that nobody knows."""

_GROUP_KEYS, _GROUP_BYTES = 1_024, 2**23


class Told(NamedTuple):
    """What one layout needs of rows, in their order."""

    times: NDArray[np.int64]
    values: NDArray[np.int64]
    frauds: NDArray[np.uint8] | None


def features_of(
    rows: NDArray[np.float64],
    keys: Mapping[str, Sequence[str | None] | NDArray[np.object_]],
    schema: Schema,
    frauds: NDArray[np.bool_] | NDArray[np.int8] | None = None,
    *,
    threads: int | None = None,
    sink: Sink | None = None,
    begin: Begin | None = None,
) -> NDArray[np.float64]:
    """Features of histories, float64 ``(n, schema.histories)``.

    ``rows``: float64 ``(n, inputs)``, or wider, in time order. ``keys``: of each key column the hashes, None where
    there is none. ``frauds``: 1, or true, for fraud. ``threads``: as many as there are cores. Raises DataError where a
    key is in plain.
    """
    times = times_of(rows, schema)
    known = None if frauds is None else np.ascontiguousarray(frauds, dtype=np.uint8)
    keyed = {name: Keyed.of_texts(keys[name]) for name in dict.fromkeys(one.key for one in schema.history)}
    found = np.empty((len(rows), len(schema.histories)))
    first = 0
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for number, layout in enumerate(layouts(schema)):
            own = found[:, first : first + len(layout.made)]
            first += len(layout.made)
            told = Told(times, values_of(rows, schema, layout), known)
            for group in advanced(number, layout, keyed[layout.declared.key], told, own, pool, begin):
                if sink is not None:
                    sink(number, *group)
    return found


def advanced(
    number: int,
    layout: Layout,
    keyed: Keyed,
    told: Told,
    features: NDArray[np.float64] | None,
    pool: ThreadPoolExecutor | None = None,
    begin: Begin | None = None,
) -> Iterator[tuple[Keys, StatesOf]]:
    """One history of rows in time order: keys and their states, group by group; ``features`` get those of each row.

    The groups are counted by the threads of ``pool``, by default by the caller's, and given from the caller's.
    """
    order = np.argsort(keyed.slots, kind="stable")
    if features is not None:
        features[keyed.slots < 0] = np.nan
    size = max(1, min(_GROUP_KEYS, _GROUP_BYTES // layout.size))
    bounds = np.append(np.arange(0, len(keyed.keys), size), len(keyed.keys))
    places = np.searchsorted(keyed.slots, bounds, sorter=order)

    def count(group: int) -> tuple[Keys, StatesOf]:
        low, rows = bounds[group], order[places[group] : places[group + 1]]
        keys = keyed.keys[low : bounds[group + 1]]
        states = np.zeros(len(keys) * layout.size, np.uint8) if begin is None else begin(number, keys).ravel()
        frauds = None if told.frauds is None else told.frauds[rows]
        values = np.ascontiguousarray(told.values[rows])
        found = engine.advance(layout, states, keyed.slots[rows] - low, told.times[rows], values, frauds)
        if features is not None:
            features[rows] = found
        return keys, states.reshape(len(keys), layout.size)

    groups = range(len(bounds) - 1)
    yield from map(count, groups) if pool is None else in_order(pool, count, groups)
