"""Transactions through the states of their keys: the one place where windows are counted, offline and online.

``windows.c`` where the binary fits this machine, else ``fraud.history.plain``: the same to the bit.
"""

import numpy as np
from numpy.typing import NDArray

from fraud.history import plain
from fraud.history.layout import Layout
from fraud.scorer import kernel


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
