"""The one feature path: raw rows in, model inputs out. Training and serving both call it.

Only correctly rounded operations are used (comparison, remainder, division, cast), so a row gives the same
features alone, in a batch, and on any machine. Trees do not change under monotone transforms, so there is no
scaling and no logarithm.
"""

import numpy as np
from numpy.typing import NDArray

from fraud.schema import COLUMNS

SECONDS_PER_DAY = 86_400.0

_TIME = COLUMNS.index("Time")
_KEPT = slice(_TIME + 1, None)  # Time is the first column; a slice is copied five times as fast as a list of columns

FEATURES: tuple[str, ...] = (*COLUMNS[_KEPT], "hour")
"""Names of the model's inputs, in column order of what ``transform`` returns."""


def transform(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    """Turn rows into model inputs.

    ``rows``: float64 ``(n, 30)`` in the order of ``fraud.schema.COLUMNS``. Returns float32 ``(n, n_features)``
    in the order of ``FEATURES``, C-contiguous. The clock is dropped but for the hour of the day (0 to 24):
    seconds since the first row of a training file mean nothing in production. Raises ValueError on another shape.
    """
    if rows.ndim != 2 or rows.shape[1] != len(COLUMNS):
        raise ValueError(f"expected rows of shape (n, {len(COLUMNS)}), got {rows.shape}")
    features = np.empty((len(rows), len(FEATURES)), dtype=np.float32)
    features[:, :-1] = rows[:, _KEPT]
    features[:, -1] = (rows[:, _TIME] % SECONDS_PER_DAY) / 3600.0
    return features
