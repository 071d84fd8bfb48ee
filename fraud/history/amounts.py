"""Rows as what histories add: times in microseconds, amounts in their smallest unit, both whole numbers."""

import numpy as np
from numpy.typing import NDArray

from fraud.history.layout import FURTHEST, MICROSECONDS, MISSING, MOST, Layout
from fraud.schema import Schema


def times_of(rows: NDArray[np.float64], schema: Schema) -> NDArray[np.int64]:
    """Microseconds since 1970 of rows ``(n, inputs)``, int64 ``(n,)``."""
    seconds = rows[:, schema.inputs.index(str(schema.roles.time))]
    return np.rint(np.clip(seconds * MICROSECONDS, -FURTHEST, FURTHEST)).astype(np.int64)


def values_of(rows: NDArray[np.float64], schema: Schema, layout: Layout) -> NDArray[np.int64]:
    """What each row adds to the sums of a layout, int64 ``(n, sums)``; ``MISSING`` where it has no value.

    A value with more decimals than declared is rounded to the nearest, of two to the even one.
    """
    found = np.empty((len(rows), len(layout.scales)), dtype=np.int64)
    for place, (name, scale) in enumerate(zip(layout.declared.columns, layout.scales, strict=True)):
        own = rows[:, schema.inputs.index(name)]
        missing = np.isnan(own)
        found[:, place] = np.rint(np.clip(np.where(missing, 0.0, own) * scale, -MOST, MOST))
        found[missing, place] = MISSING
    return found
