"""Transactions through the states of their keys: the one place where windows are counted, offline and online.

``windows.c`` where the binary fits this machine, else ``fraud.history.plain``: the same to the bit.
"""

import ctypes
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fraud.history import plain
from fraud.history.layout import Layout
from fraud.scorer import kernel

Bound = Callable[[bytearray, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]


def bound(layout: Layout) -> Bound:
    """``advance`` of one layout, for who has made the arrays itself: nothing is checked: that costs more than the work.

    Takes states, slots, times and values, each contiguous and to be written to.
    """
    binary, made, sums = kernel.load(kernel.FOLDER), len(layout.made), len(layout.scales)
    if binary is None:

        def in_python(
            states: bytearray, slots: NDArray[np.int64], times: NDArray[np.int64], values: NDArray[np.int64]
        ) -> NDArray[np.float64]:
            features = np.empty((len(slots), made))
            plain.advance(layout, np.frombuffer(states, np.uint8), slots, times, values, None, features)
            return features

        return in_python
    function, byref, place = binary.fraud_advance, ctypes.byref, ctypes.c_char.from_buffer
    tables = layout.table, layout.scale_table  # referred to, or they would go
    table, scales = map(_place, tables)

    def advance(
        states: bytearray, slots: NDArray[np.int64], times: NDArray[np.int64], values: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        count, features = len(slots), np.empty((len(slots), made))
        if count:  # a buffer's place is quicker to come by than NumPy's `ctypes.data`
            function(
                table,
                scales,
                byref(place(states)) if states else None,
                byref(place(slots)),  # type: ignore[arg-type] # an array is a buffer
                byref(place(times)),  # type: ignore[arg-type]
                byref(place(values)) if sums else None,  # type: ignore[arg-type]
                None,
                count,
                byref(place(features)),  # type: ignore[arg-type]
                made,
            )
        return features

    return advance


def advance(
    layout: Layout,
    states: NDArray[np.uint8],
    slots: NDArray[np.int64],
    times: NDArray[np.int64],
    values: NDArray[np.int64],
    frauds: NDArray[np.uint8] | None = None,
) -> NDArray[np.float64]:
    """Add transactions to the states of their keys, in their order, and say what the windows of each hold then.

    ``states``: uint8 ``(k * layout.size,)``, changed in place. ``slots``: int64 ``(n,)``, which of them is that of a
    row's key; -1 for no key, whose features are NaN. ``times``: int64 ``(n,)``, microseconds since 1970. ``values``:
    int64 ``(n, sums)``, the summed columns in their smallest units (``fraud.history.amounts``). ``frauds``: uint8
    ``(n,)``, 1 for fraud. Returns float64 ``(n, features)``. Raises ValueError where the arrays do not fit.
    """
    count, wide = len(slots), len(layout.scales)
    if states.dtype != np.uint8 or len(states) % layout.size or not states.flags.c_contiguous:
        raise ValueError(f"states should be bytes, {layout.size} a key, got {states.dtype} {states.shape}")
    if count and not -1 <= slots.min() <= slots.max() < len(states) // layout.size:
        raise ValueError("a slot is outside of the states")
    arrays = {"slots": slots, "times": times, "values": values}
    shapes = {"slots": (count,), "times": (count,), "values": (count, wide)}
    for name, array in arrays.items():
        if array.dtype != np.int64 or array.shape != shapes[name] or not array.flags.c_contiguous:
            raise ValueError(f"{name} should be int64 {shapes[name]}, got {array.dtype} {array.shape}")
    if frauds is not None and (frauds.dtype != np.uint8 or frauds.shape != (count,)):
        raise ValueError(f"frauds should be uint8 {(count,)}, got {frauds.dtype} {frauds.shape}")
    features = np.empty((count, len(layout.made)))
    binary = kernel.load(kernel.FOLDER)
    if binary is None:
        plain.advance(layout, states, slots, times, values, frauds, features)
    elif count:
        binary.fraud_advance(
            _place(layout.table),
            _place(layout.scale_table),
            _place(states),
            _place(slots),
            _place(times),
            _place(values) if wide else None,
            None if frauds is None else _place(frauds),
            count,
            _place(features),
            features.shape[1],
        )
    return features


def _place(array: NDArray[np.generic]) -> int | None:
    return array.ctypes.data
