"""How the tables of ``docs/drift.md`` are written, and at which thresholds."""

import numpy as np
from numpy.typing import NDArray

from fraud.schema import default

SIZES = (500, 2_000, 10_000)
FEATURE_THRESHOLDS = (0.1, 0.2, 0.25)
SCORE_THRESHOLDS = (0.02, 0.05, 0.1, 0.2)
QUANTILES = (0.5, 0.95, 0.99, 0.999)

SCORE = len(default().features)
"""Place of the score's index behind those of the features."""

Floats = NDArray[np.float64]


def quantiles(values: Floats) -> list[str]:
    """The cells of QUANTILES."""
    return [f"{value:.4f}" for value in np.quantile(values, QUANTILES)]


def alarms(values: Floats, limits: tuple[float, ...]) -> list[str]:
    """Shares above each limit."""
    return [f"{(values > limit).mean():.3%}" for limit in limits]


def table(head: list[str], rows: list[list[str]]) -> None:
    """Print Markdown."""
    print("| " + " | ".join(head) + " |")
    print("| --- " * len(head) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)
