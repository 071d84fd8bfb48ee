"""Windows with an injected shift: how many of them raise the alarm."""

import numpy as np

from benchmarks.drift.shifts import shifts
from benchmarks.drift.tables import FEATURE_THRESHOLDS, SCORE, SCORE_THRESHOLDS, SIZES, table
from benchmarks.drift.windows import Watch, drawn_with_frauds
from fraud.schema import default


def detection(same: Watch, windows: int, random: np.random.Generator) -> None:
    """Share of windows with an alarm, when the rows were changed."""
    print(f"## Injected shifts: share of {windows} windows that raise the alarm\n")
    rows = []
    for shift in shifts():
        codes = same.codes(shift.apply(same.features, random))
        by_features, by_score = [], []
        for size in SIZES:
            indices = same.indices(codes, drawn_with_frauds(random, same.labels, shift.frauds, size, windows))
            largest = indices[:, :SCORE].max(axis=1)
            by_features.append(" / ".join(f"{(largest > limit).mean():.0%}" for limit in FEATURE_THRESHOLDS))
            by_score.append(" / ".join(f"{(indices[:, SCORE] > limit).mean():.0%}" for limit in SCORE_THRESHOLDS))
        medians = np.median(indices, axis=0)  # of the largest windows
        own = f"{medians[default().features.index(shift.feature)]:.3f}"
        rows.append([shift.text, own, *by_features, f"{medians[SCORE]:.3f}", *by_score])
    limits = " / ".join(f"{limit:g}" for limit in FEATURE_THRESHOLDS)
    score_limits = " / ".join(f"{limit:g}" for limit in SCORE_THRESHOLDS)
    print(f"Features at {limits}, score at {score_limits}; medians are of {SIZES[-1]:,} rows\n")
    sizes = [f"{size:,} rows" for size in SIZES]
    table(["shift", "its index", *sizes, "score's index", *(f"score, {size}" for size in sizes)], rows)
