"""States of keys in memory, for streams: a few rows at a time, in the order in which they come."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fraud.history import engine
from fraud.history.amounts import times_of, values_of
from fraud.history.keys import KEY_BYTES
from fraud.history.layout import Layout, layouts
from fraud.replay.grouped import StatesOf
from fraud.replay.keyed import Keyed, Keys
from fraud.schema import Schema

_FIRST, _GIVEN = 1_024, 4_096


class States:
    """Those of every history of ``schema``; ``layout.size`` bytes a key, twice that at most while they grow."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._kept = [_OfLayout(layout) for layout in layouts(schema)]

    def advance(
        self,
        rows: NDArray[np.float64],
        keys: Mapping[str, Sequence[str | None] | NDArray[np.object_]],
        frauds: NDArray[np.bool_] | NDArray[np.int8] | None = None,
    ) -> NDArray[np.float64]:
        """Add rows ``(n, inputs)`` in their order; their features, float64 ``(n, schema.histories)``.

        ``keys``: of each key column the hashes, None where there is none. Raises DataError where a key is in plain.
        """
        times = times_of(rows, self.schema)
        known = None if frauds is None else np.ascontiguousarray(frauds, dtype=np.uint8)
        keyed = {name: Keyed.of_texts(keys[name]) for name in dict.fromkeys(one.key for one in self.schema.history)}
        found = []
        for kept in self._kept:
            own, values = keyed[kept.layout.declared.key], values_of(rows, self.schema, kept.layout)
            slots = np.append(kept.slots(own.keys), -1)[own.slots]
            found.append(engine.advance(kept.layout, kept.states, slots, times, values, known))
        return np.hstack(found)

    def times(self, rows: NDArray[np.float64]) -> NDArray[np.int64]:
        """Microseconds since 1970 of rows ``(n, inputs)``."""
        return times_of(rows, self.schema)

    def put(self, number: int, keys: Keys, states: StatesOf) -> None:
        """Keep the states of keys of one history, as ``fraud.replay.state_file`` gives them."""
        kept = self._kept[number]
        slots = kept.slots(keys)
        kept.states.reshape(-1, kept.layout.size)[slots] = states

    def of(self, number: int, keys: Keys) -> StatesOf:
        """A copy of the states of keys of one history: ``fraud.replay.grouped.Begin``."""
        kept = self._kept[number]
        states = np.zeros((len(keys), kept.layout.size), dtype=np.uint8)
        places = np.array([kept.places.get(key, -1) for key in map(bytes, keys)], dtype=np.int64)
        states[places >= 0] = kept.states.reshape(-1, kept.layout.size)[places[places >= 0]]
        return states

    def given(self) -> Iterator[tuple[int, Keys, StatesOf]]:
        """Number of the history, keys and states: all of them, some at a time."""
        for number, kept in enumerate(self._kept):
            keys = np.frombuffer(b"".join(kept.places), dtype=np.uint8).reshape(-1, KEY_BYTES)
            states = kept.states.reshape(-1, kept.layout.size)
            for low in range(0, len(keys), _GIVEN):
                yield number, keys[low : low + _GIVEN], states[low : min(low + _GIVEN, len(keys))]


class _OfLayout:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.places = dict[bytes, int]()
        self.states = np.zeros(_FIRST * layout.size, dtype=np.uint8)

    def slots(self, keys: Keys) -> NDArray[np.int64]:
        """Where their states are; of those never seen, all zero."""
        places = self.places
        found = [places.setdefault(key, len(places)) for key in map(bytes, keys)]
        if (needed := len(places) * self.layout.size) > len(self.states):
            grown = np.zeros(2 * needed, dtype=np.uint8)
            grown[: len(self.states)] = self.states
            self.states = grown
        return np.array(found, dtype=np.int64)
