"""``windows.c`` in Python, number for number, for where no binary fits the machine: the same features, slower."""

import math

import numpy as np
from numpy.typing import NDArray

from fraud.history.layout import MICROSECONDS, MISSING, Layout, Window


def advance(
    layout: Layout,
    states: NDArray[np.uint8],
    slots: NDArray[np.int64],
    times: NDArray[np.int64],
    values: NDArray[np.int64],
    frauds: NDArray[np.uint8] | None,
    features: NDArray[np.float64],
) -> None:
    """What ``fraud.history.engine.advance`` does, a row at a time; fills ``features``."""
    for row, (slot, time, own) in enumerate(zip(slots.tolist(), times.tolist(), values.tolist(), strict=True)):
        if slot < 0:
            features[row] = np.nan
        else:
            fraud = 0 if frauds is None else int(frauds[row])
            features[row] = _one(layout, states[slot * layout.size : (slot + 1) * layout.size], time, own, fraud)


class _Rings:
    """The rings of one window in a state; ``newest`` is the number of its newest bucket."""

    def __init__(self, layout: Layout, window: Window, state: NDArray[np.uint8], newest: int) -> None:
        def ring(at: int, kind: str) -> NDArray[np.generic]:
            size = np.dtype(kind).itemsize * window.ring
            return state[at : at + size].view(kind)

        self.counts = ring(window.counts, "<u4")
        self.frauds = None if window.frauds < 0 else ring(window.frauds, "<u4")
        self.sums = [ring(at, "<i8") for at in window.sums]
        self.values = [ring(at, "<u4") for at in window.values]
        self.window, self.newest, self._buckets = window, newest, layout.declared.buckets

    def clear(self, number: int) -> None:
        at = number % self.window.ring
        for ring in (self.counts, self.frauds, *self.sums, *self.values):
            if ring is not None:
                ring[at] = 0

    def add(self, time: int, own: list[int], fraud: int) -> None:
        number = time // self.window.width
        if self.is_late(time):
            return
        at = number % self.window.ring
        self.counts[at] += 1
        if self.frauds is not None:
            self.frauds[at] += fraud
        for place, value in enumerate(own):
            if value != MISSING:
                self.sums[place][at] += value
                if self.window.values[place] != self.window.counts:
                    self.values[place][at] += 1

    def is_late(self, time: int) -> bool:
        return time // self.window.width <= self.newest - self.window.ring

    def total(self, ring: NDArray[np.generic], low: int, high: int) -> int:
        low, high = max(low, self.newest - self.window.ring + 1), min(high, self.newest)
        if low > high:
            return 0
        numbers = np.arange(low, high + 1) % self.window.ring
        return int(ring[numbers].sum(dtype=np.int64))

    def current(self, ring: NDArray[np.generic], time: int) -> int:
        number = time // self.window.width
        return self.total(ring, number - self._buckets, number)

    def known(self, ring: NDArray[np.generic] | None, time: int, delay: int) -> int:
        end = (time - delay) // self.window.width
        return 0 if ring is None else self.total(ring, end - self._buckets, end - 1)


def _one(layout: Layout, state: NDArray[np.uint8], time: int, own: list[int], fraud: int) -> list[float]:
    header = state[:16].view("<i8")
    seen, before = bool(header[0]), int(header[1])
    since = min(max(time - before, 0), layout.cap_us) if seen else layout.cap_us
    latest = max(before, time) if seen else time
    windows = []
    for window in layout.windows:
        newest = latest // window.width
        rings = _Rings(layout, window, state, newest)
        first = (before if seen else time) // window.width + 1
        for number in range(max(first, newest - window.ring + 1), newest + 1):
            rings.clear(number)
        rings.add(time, own, fraud)
        windows.append(rings)
    header[:] = 1, latest
    return [
        since / MICROSECONDS if made.op == "seconds_since_last" else _value(layout, windows, at, time, own)
        for at, made in enumerate(layout.made)
    ]


def _value(layout: Layout, windows: list[_Rings], at: int, time: int, own: list[int]) -> float:
    made = layout.made[at]
    rings = windows[made.window]
    late = rings.is_late(time)
    if made.op in ("fraud_count", "fraud_share"):
        rows, frauds = (rings.known(ring, time, layout.delay_us) for ring in (rings.counts, rings.frauds))
        if made.op == "fraud_count":
            return float(frauds)
        return frauds / rows if rows else 0.0
    if made.op == "count":
        return float(rings.current(rings.counts, time) + late)
    place = layout.declared.columns.index(str(made.column))
    value, scale = own[place], layout.scales[place]
    here = value != MISSING
    rows = rings.current(rings.values[place], time) + (late and here)
    added = rings.current(rings.sums[place], time) + (value if late and here else 0)
    if made.op == "sum":
        return added / scale
    if made.op == "mean":
        return float(added) / (float(rows) * scale) if rows else math.nan
    return float(value) * float(rows) / float(added) if here and added else math.nan
