"""What a model has learnt of whole rows: three features that are made of all others, for trees that see one at a time.

``row.discriminant``: the decision value of a linear discriminant (Fisher 1936), ``row.logit``: that of a logistic
regression, ``row.distance``: the squared Mahalanobis distance from the legitimate rows. ``training.summarize`` learns
them; here they are kept and applied. A missing feature counts as the mean.
"""

import ctypes
from collections.abc import Callable
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from fraud.errors import ModelError
from fraud.manifest import StoredDocument, first_problem, is_newer
from fraud.scorer import kernel

FILE = "summaries.json"
NAMES = ("row.discriminant", "row.logit", "row.distance")
MOST = 253
"""Features that may be summed up: with the summaries as many as a forest takes."""
_FURTHEST = 1e6
"""Of a feature from the mean, in standard deviations: what is further counts as this far."""
_Number = Annotated[float, Field(ge=-1e6, le=1e6)]
Summarize = Callable[[NDArray[np.float32]], None]
"""Fills in the last three columns of C-ordered float32 ``(n, features + 3)``."""


class Summaries(StoredDocument):
    """Features are standardised, (value - mean) x scale, and added up: ``start`` plus the sum of ``weights`` x value.

    The first sum is the discriminant, the second the logit; the squares of the others, one for each feature, are added.
    ``weights``: of each feature those of all sums.
    """

    format: Literal[1] = 1
    mean: tuple[float, ...] = Field(min_length=1, max_length=MOST)
    scale: tuple[_Number, ...]
    start: tuple[_Number, ...]
    weights: tuple[tuple[_Number, ...], ...]

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        count = len(self.mean)
        shapes = len(self.scale), len(self.weights), len(self.start), *map(len, self.weights)
        if shapes != (count, count, *(count + 2,) * (count + 1)):
            raise ValueError(f"expected scale and weights of {count} features and {count + 2} sums")
        return self

    def bound(self) -> Summarize:
        """What fills them in: the compiled loop, or NumPy's additions in the same order where there is none."""
        mean, scale, start, weights = (np.array(one) for one in (self.mean, self.scale, self.start, self.weights))
        binary = kernel.load(kernel.FOLDER)
        if binary is None:
            return lambda features: _summarize(features, mean, scale, start, weights)
        arrays = (mean, scale, start, weights)
        by = _Summaries(*(one.ctypes.data for one in arrays), len(mean))
        function, reference, byref, place = binary.fraud_summarize, ctypes.byref(by), ctypes.byref, _first

        def summarize(features: NDArray[np.float32], _kept: object = arrays) -> None:
            if len(features):
                function(reference, byref(place(features)), len(features))

        return summarize


class _Summaries(ctypes.Structure):
    _fields_ = (
        ("mean", ctypes.c_void_p),
        ("scale", ctypes.c_void_p),
        ("start", ctypes.c_void_p),
        ("weights", ctypes.c_void_p),
        ("inputs", ctypes.c_uint32),
    )


_first = ctypes.c_char.from_buffer


def _summarize(
    features: NDArray[np.float32],
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
    start: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> None:
    """As summaries.c does, all rows at once."""
    total = np.tile(start, (len(features), 1))
    for place, weight in enumerate(weights):
        value = np.clip((features[:, place].astype(np.float64) - mean[place]) * scale[place], -_FURTHEST, _FURTHEST)
        known = ~np.isnan(value)
        total[known] += weight * value[known, None]
    squares = np.zeros(len(features))
    for own in total.T[2:]:
        squares += own * own
    features[:, -3:] = np.column_stack([total[:, 0], total[:, 1], squares])


def parse(text: str | bytes, where: str) -> Summaries:
    """Read summaries. Raises ModelError."""
    try:
        return Summaries.model_validate_json(text)
    except ValidationError as error:
        problem = f"no summaries of rows ({first_problem(error)})"
        raise (ModelError(f"{where}: {problem}") if is_newer(error) else ModelError.not_sound(where, problem)) from None
