"""What ``add.lua`` is told of a batch, and what the windows hold by what it says: ``fraud.history.engine`` counts.

The script gives states as they were before the batch; its additions are made here again, row after row.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from msgspec import msgpack
from numpy.typing import NDArray

from fraud.history import engine
from fraud.history.batch import Batch
from fraud.history.files.ids import kind_of
from fraud.history.layout import HEADER, MISSING, Layout
from fraud.history.remote.names import FACTS, id_name, label_name, state_name

FURTHEST_US = 2**53
"""Of a time from 1970: a script's numbers are doubles."""
_SEEN, _FIRST = b"=", b"?"


class Asked(NamedTuple):
    """A batch on its way. ``names``: what the script may touch, ``plan``: what it is to do."""

    batch: Batch
    names: list[bytes]
    plan: bytes
    of_row: list[list[int]]
    """Of each history which of the batch's states is that of a row's key, counted from 1; 0 for none."""
    ids: list[bytes]
    repeated: list[tuple[int, int]]
    """Rows whose id stands in the batch before, and where."""


class Told(NamedTuple):
    """What became of it. ``features``: float64 ``(n, width)``; ``added``: rows; ``remember``: names of ids, and the
    features of each."""

    features: NDArray[np.float64]
    added: int
    remember: list[tuple[bytes, bytes]]


def big_endian(layout: Layout, states: bytes | bytearray) -> bytearray:
    """States as Redis counts in them, or back."""
    turned = np.frombuffer(bytearray(states), np.uint8).reshape(-1, layout.size)
    split = layout.windows[0].counts
    turned[:, :split].view("u8").byteswap(inplace=True)
    turned[:, split:].view("u4").byteswap(inplace=True)
    return bytearray(turned.data)


class Wire:
    """Of the layouts of one model."""

    def __init__(self, layouts: Sequence[Layout], keep_ms: Sequence[int], ids_ms: int) -> None:
        self._layouts, self._ids_ms, self._keep_ms = layouts, ids_ms, max(keep_ms)
        self._plans = [
            [one.size, keep, [[*window] for window in _windows(one)]]
            for one, keep in zip(layouts, keep_ms, strict=True)
        ]
        self._kind = kind_of(layouts)
        self._advance = [engine.bound(one) for one in layouts]
        ends = np.cumsum([len(one.made) for one in layouts])
        self._cuts = [slice(int(end) - len(one.made), int(end)) for end, one in zip(ends, layouts, strict=True)]
        self.width = int(ends[-1])

    def id_of(self, name: str) -> bytes:
        """Where what a transaction got is kept."""
        return id_name(blake2b(name.encode(), digest_size=16, key=self._kind.encode()).digest())

    def asked(self, batch: Batch) -> Asked:
        """The script's keys and arguments for a batch."""
        names, of_key, of_row = [FACTS], list[int](), list[list[int]]()
        for number, keys in enumerate(batch.keys, 1):
            of_row.append(self._numbers(number, keys, names, of_key))
        first, ids, repeated, rows = dict[str, int](), list[bytes](), list[tuple[int, int]](), list[Any]()
        values = [[[one != MISSING and one for one in row] for row in own.tolist()] for own in batch.values]
        times, given = np.clip(batch.times, -FURTHEST_US, FURTHEST_US), list[bytes]()
        for row, (time, name) in enumerate(zip(times.tolist(), batch.names, strict=True)):
            if name and (before := first.setdefault(name, row)) != row:
                repeated.append((row, before))
                continue
            ids.append(self.id_of(name) if name else b"")
            given += [ids[-1]] if name else []
            place = len(given) if name else 0
            rows.append([time, place, [own[row] for own in of_row], [own[row] for own in values]])
        plan = msgpack.encode([self._plans, of_key, rows, self._ids_ms])
        return Asked(batch._replace(times=times), names + given, plan, of_row, ids, repeated)

    def labels(self, batch: Batch, frauds: Sequence[bool]) -> tuple[list[bytes], bytes]:
        """The names that ``label.lua`` may touch, and its plan; one without an id has no label."""
        names, of_key, of_row, labels = [FACTS], list[int](), [list[tuple[int, int]]() for _ in frauds], list[bytes]()
        for number, (layout, keys) in enumerate(zip(self._layouts, batch.keys, strict=True), 1):
            if layout.delay_us < 0:
                continue
            told = [key if name else None for key, name in zip(keys, batch.names, strict=True)]
            for row, state in enumerate(self._numbers(number, told, names, of_key)):
                if state:
                    labels.append(label_name(layout, self.id_of(batch.names[row])))
                    of_row[row].append((len(labels), state))
        times = np.clip(batch.times, -FURTHEST_US, FURTHEST_US).tolist()
        rows = [[time, bool(fraud), own] for time, fraud, own in zip(times, frauds, of_row, strict=True)]
        return names + labels, msgpack.encode([self._plans, of_key, rows, self._keep_ms])

    def _numbers(self, number: int, keys: Sequence[bytes | None], names: list[bytes], of_key: list[int]) -> list[int]:
        """Of each row which of all states is that of its key of a layout; ``names`` and ``of_key`` get those states."""
        order, start = dict[bytes, int](), len(of_key) + 1
        of_row = [0 if key is None else order.setdefault(key, start + len(order)) for key in keys]
        names += [state_name(self._layouts[number - 1], key) for key in order]
        of_key += [number] * len(order)
        return of_row

    def told(self, asked: Asked, reply: Sequence[bytes], known: Mapping[bytes, bytes]) -> Told:
        """What the script's reply means; ``known``: features of ids that Redis may not have been told of yet."""
        batch, count = asked.batch, len(reply) - len(asked.ids)
        states, outcomes = reply[:count], reply[count:]
        features = np.empty((len(batch.times), self.width))
        repeated = {row for row, _ in asked.repeated}
        rows = [row for row in range(len(batch.times)) if row not in repeated]
        new = [row for row, outcome in zip(rows, outcomes, strict=True) if not outcome]
        self._count(asked, states, new, features)
        remember = []
        for row, outcome, name in zip(rows, outcomes, asked.ids, strict=True):
            if not outcome:
                continue
            if outcome[:1] == _SEEN:
                features[row] = np.frombuffer(outcome, "<f8", offset=1)
            elif name in known:
                features[row] = np.frombuffer(known[name])
            else:
                features[row] = self._again(asked, states, row, outcome[1:].decode().split(","))
                remember.append((name, features[row].tobytes()))
        names = dict(zip(rows, asked.ids, strict=True))
        remember += [(names[row], features[row].tobytes()) for row in new if names[row]]
        for row, before in asked.repeated:
            features[row] = features[before]
        return Told(features, len(new), remember)

    def _count(self, asked: Asked, states: Sequence[bytes], rows: list[int], features: NDArray[np.float64]) -> None:
        start = 0
        batch = asked.batch if len(rows) == len(asked.batch.times) else asked.batch.only(rows)
        parts = zip(self._layouts, self._advance, self._cuts, asked.of_row, batch.values, strict=True)
        for layout, advance, cut, of_row, values in parts:
            held = max([*of_row, start]) - start
            own = b"".join(_whole(one, layout) for one in states[start : start + held])
            buffer = big_endian(layout, own)
            place = np.array([of_row[row] - 1 - start if of_row[row] else -1 for row in rows], np.int64)
            if rows:
                features[np.ix_(rows, range(cut.start, cut.stop))] = advance(buffer, place, batch.times, values)
            start += held

    def _again(self, asked: Asked, states: Sequence[bytes], row: int, before: list[str]) -> NDArray[np.float64]:
        """Features of a transaction that was added by who did not live to say which: as the windows are without it."""
        found, one = np.empty(self.width), asked.batch.only([row])
        parts = zip(self._layouts, self._advance, self._cuts, asked.of_row, one.values, before, strict=True)
        for layout, advance, cut, of_row, values, latest in parts:
            buffer, place = bytearray(layout.size), np.array([0 if of_row[row] else -1], np.int64)
            if of_row[row] and latest:
                buffer = big_endian(layout, _whole(states[of_row[row] - 1], layout))
                _without(layout, buffer, int(one.times[0]), values[0].tolist(), int(latest))
            found[cut] = advance(buffer, place, one.times, values)[0]
        return found


def _whole(state: bytes, layout: Layout) -> bytes:
    return state[: layout.size].ljust(layout.size, b"\0")


def _windows(layout: Layout) -> list[tuple[int, int, int, int, tuple[int, ...], tuple[int, ...]]]:
    return [(one.width, one.ring, one.counts, one.frauds, one.sums, one.values) for one in layout.windows]


def _without(layout: Layout, state: bytearray, time: int, values: list[int], before: int) -> None:
    """A state as it would be had ``before`` been its latest time, and had the transaction not been added."""
    header = np.frombuffer(state, "<i8", HEADER // 8)
    for window in layout.windows:
        ring, newest = window.ring, int(header[1]) // window.width
        own, last = time // window.width, before // window.width
        arrays = [(at, "<i8") for at in window.sums] + [
            (at, "<u4") for at in dict.fromkeys((window.counts, window.frauds, *window.values)) if at >= 0
        ]
        rings = {at: np.frombuffer(state, kind, ring, at) for at, kind in arrays}
        if newest - ring < own <= last:
            rings[window.counts][own % ring] -= 1
            for place, value in enumerate(values):
                if value != MISSING:
                    rings[window.sums[place]][own % ring] -= value
                    if window.values[place] != window.counts:
                        rings[window.values[place]][own % ring] -= 1
        for number in range(max(last, newest - ring) + 1, newest + 1):
            for one in rings.values():
                one[number % ring] = 0
    header[1] = before
