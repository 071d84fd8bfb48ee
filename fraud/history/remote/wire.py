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
_SEEN = b"="
_MARGIN_MS = 2 * 86_400_000
"""A state stays this much longer than it says anything: clocks differ, and rows come late."""


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


def keep_ms(layout: Layout) -> int:
    """How long a state stays after the last transaction."""
    return layout.keep_us // 1000 + _MARGIN_MS


class Wire:
    """Of the layouts of one model."""

    def __init__(self, layouts: Sequence[Layout], ids_ms: int) -> None:
        self._layouts, self._ids_ms, self._keep_ms = layouts, ids_ms, max(map(keep_ms, layouts))
        self._plans = [[one.size, keep_ms(one), [[*window] for window in _windows(one)]] for one in layouts]
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
                    labels.append(label_name(layout, batch.names[row]))
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
        lost = dict[int, list[str]]()
        for row, outcome, name in zip(rows, outcomes, asked.ids, strict=True):
            if outcome[:1] == _SEEN:
                features[row] = np.frombuffer(outcome, "<f8", offset=1)
            elif outcome and name in known:
                features[row] = np.frombuffer(known[name])
            elif outcome:
                lost[row] = outcome[1:].decode().split(",")
        if lost:
            features[[*lost]] = self._again(asked, states, lost)
        names = dict(zip(rows, asked.ids, strict=True))
        remember = [(names[row], features[row].tobytes()) for row in (*lost, *new) if names[row]]
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

    def _again(self, asked: Asked, states: Sequence[bytes], lost: Mapping[int, list[str]]) -> NDArray[np.float64]:
        """Features of rows that were added by who did not live to say which: as the windows are without them, and then
        with one after another. ``lost``: of each row the latest times of its states before it.
        """
        batch = asked.batch.only([*lost])
        found = np.empty((len(lost), self.width))
        parts = zip(self._layouts, self._advance, self._cuts, asked.of_row, batch.values, strict=True)
        for part, (layout, advance, cut, of_row, values) in enumerate(parts):
            order = dict[int, int]()
            place = [order.setdefault(of_row[row], len(order)) if of_row[row] else -1 for row in lost]
            buffer = big_endian(layout, b"".join(_whole(states[number - 1], layout) for number in order))
            times, before = batch.times.tolist(), [own[part] for own in lost.values()]
            for row in reversed(range(len(lost))):
                if place[row] >= 0:
                    start, latest = place[row] * layout.size, before[row]
                    state = memoryview(buffer)[start : start + layout.size]
                    if latest:
                        _without(layout, state, times[row], values[row].tolist(), int(latest))
                    else:
                        state[:] = bytes(layout.size)
            found[:, cut] = advance(buffer, np.array(place, np.int64), batch.times, values)
        return found


def _whole(state: bytes, layout: Layout) -> bytes:
    return state[: layout.size].ljust(layout.size, b"\0")


def _windows(layout: Layout) -> list[tuple[int, int, int, int, tuple[int, ...], tuple[int, ...]]]:
    return [(one.width, one.ring, one.counts, one.frauds, one.sums, one.values) for one in layout.windows]


def _without(layout: Layout, state: memoryview, time: int, values: list[int], before: int) -> None:
    """A state as it would be had ``before`` been its latest time, and had the transaction not been added."""
    header = np.frombuffer(state, "<i8", HEADER // 8)
    for window in layout.windows:
        ring, newest = window.ring, int(header[1]) // window.width
        own, last = time // window.width, before // window.width
        arrays = [(at, "<i8") for at in window.sums] + [
            (at, "<u4") for at in dict.fromkeys((window.counts, window.frauds, *window.values)) if at >= 0
        ]
        rings = {at: np.frombuffer(state, kind, ring, at) for at, kind in arrays}
        if newest - ring < own <= last and rings[window.counts][own % ring]:
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
