"""Summaries of whole rows: weighted sums of all features, and the sum of squares of most of them.

By the compiled loop (summing.c), or by NumPy in the same order where there is none: the same bits on every machine.
"""

import ctypes
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fraud.scorer import kernel

Summarize = Callable[[NDArray[np.float32]], None]
"""Fills in the last three columns of C-ordered float32 ``(n, features + 3)``: two sums, and the squares of others."""
_FURTHEST = 1e6
"""Of a feature from the mean, in standard deviations: what is further counts as this far."""
_Floats = NDArray[np.float64]


class _Summaries(ctypes.Structure):
    _fields_ = (
        ("mean", ctypes.c_void_p),
        ("scale", ctypes.c_void_p),
        ("start", ctypes.c_void_p),
        ("weights", ctypes.c_void_p),
        ("inputs", ctypes.c_uint32),
    )


def bind(mean: _Floats, scale: _Floats, start: _Floats, weights: _Floats) -> Summarize:
    """Features are standardised, (value - mean) x scale, and added up: ``start`` plus the sum of ``weights`` x value.

    ``mean`` and ``scale``: float64 ``(features,)``, ``start``: ``(sums,)``, ``weights``: ``(features, sums)``,
    C-ordered, of two sums more than there are features. NaN counts as the mean.
    """
    binary = kernel.load(kernel.FOLDER)
    if binary is None:
        return lambda features: _summarize(features, mean, scale, start, weights)
    arrays = (mean, scale, start, weights)
    by = _Summaries(*(one.ctypes.data for one in arrays), len(mean))
    function, reference, byref, place = (
        binary.fraud_summarize,
        ctypes.byref(by),
        ctypes.byref,
        ctypes.c_char.from_buffer,
    )

    def summarize(features: NDArray[np.float32], _kept: object = arrays) -> None:
        if len(features):
            function(reference, byref(place(features)), len(features))  # type: ignore[arg-type] # it is a buffer

    return summarize


def _summarize(features: NDArray[np.float32], mean: _Floats, scale: _Floats, start: _Floats, weights: _Floats) -> None:
    total = np.tile(start, (len(features), 1))
    for place, weight in enumerate(weights):
        value = np.clip((features[:, place].astype(np.float64) - mean[place]) * scale[place], -_FURTHEST, _FURTHEST)
        known = ~np.isnan(value)
        total[known] += weight * value[known, None]
    squares = np.zeros(len(features))
    for own in total.T[2:]:
        squares += own * own
    features[:, -3:] = np.column_stack([total[:, 0], total[:, 1], squares])
