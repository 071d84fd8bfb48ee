"""Features that are made of a time: how, and how to find a time that has a given value (probes need that).

A new one is an entry here, and nothing else. Only correctly rounded operations are used (comparison, remainder,
division), so that a row gives the same features alone, in a batch, and on any machine.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SECONDS_PER_DAY = 86_400.0
_THURSDAY, _SATURDAY = 3, 5  # counted from Monday; 1970-01-01 was a Thursday
_MORNING = 7 * 3600.0

Name = Literal["hour", "weekday", "weekend", "night"]


@dataclass(frozen=True)
class Derived:
    """``make`` takes seconds of the local clock ``(n,)``; ``inverse`` gives seconds at which ``make`` gives a value."""

    make: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    inverse: Callable[[float], float]


def _weekday(clock: NDArray[np.float64]) -> NDArray[np.float64]:
    return (np.floor(clock / SECONDS_PER_DAY) + _THURSDAY) % 7


BY_NAME: Mapping[Name, Derived] = {
    "hour": Derived(lambda clock: (clock % SECONDS_PER_DAY) / 3600.0, lambda value: value * 3600.0),
    "weekday": Derived(
        _weekday,
        lambda value: (value - _THURSDAY) % 7 * SECONDS_PER_DAY,
    ),
    "weekend": Derived(
        lambda clock: np.where(np.isnan(clock), np.nan, _weekday(clock) >= _SATURDAY),
        lambda value: (_SATURDAY - _THURSDAY) * SECONDS_PER_DAY * (value > 0),
    ),
    "night": Derived(
        lambda clock: np.where(np.isnan(clock), np.nan, clock % SECONDS_PER_DAY < _MORNING),
        lambda value: _MORNING * (value <= 0),
    ),
}
"""``hour``: of the day, 0 to 24. ``weekday``: 0 for Monday to 6. ``weekend``: 1 on Saturdays and Sundays. ``night``: 1
before seven in the morning."""
