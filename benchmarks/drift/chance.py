"""Windows of the reference's own population, drawn at random: how high chance alone drives the indices."""

import numpy as np
from scipy import stats

from benchmarks.drift.tables import (
    FEATURE_THRESHOLDS,
    QUANTILES,
    SCORE,
    SCORE_THRESHOLDS,
    Floats,
    alarms,
    quantiles,
    table,
)
from benchmarks.drift.windows import Watch, drawn
from fraud.profile import BINS

SMALL_SIZES = (100, 200, 300, 500, 700, 1_000, 2_000, 10_000)


def false_alarms(same: Watch, windows: int, random: np.random.Generator) -> None:
    """Windows of the reference's own population: every alarm is a false one."""
    print(f"## Same population: {windows} windows of each size, {len(same.labels)} rows to draw from\n")
    features, score = [], []
    codes = same.codes(same.features)
    for size in SMALL_SIZES:
        indices = same.indices(codes, drawn(random, len(codes), size, windows))
        largest = indices[:, :SCORE].max(axis=1)
        expected = [f"{value:.3f}" for value in _approximated(same, size)]
        features.append([f"{size:,}", *quantiles(largest), ", ".join(expected), *alarms(largest, FEATURE_THRESHOLDS)])
        score.append([f"{size:,}", *quantiles(indices[:, SCORE]), *alarms(indices[:, SCORE], SCORE_THRESHOLDS)])
    head = ["rows", *(f"{quantile:.1%}" for quantile in QUANTILES)]
    print(f"Largest index of {SCORE} features\n")
    table([*head, "chi-square says", *(f"> {limit:g}" for limit in FEATURE_THRESHOLDS)], features)
    print("Index of the score\n")
    table([*head, *(f"> {limit:g}" for limit in SCORE_THRESHOLDS)], score)


def _approximated(same: Watch, size: int) -> Floats:
    """Quantiles of the largest of independent indices, each near chi-square(bins - 1) (1/n + 1/N) (Yurdakul 2018)."""
    bins = (same.profile.ratios[:SCORE] > 0).sum(axis=1)
    scale = 1 / size + 1 / same.reference_rows + 1 / len(same.labels)
    each = np.array(QUANTILES) ** (1 / SCORE)  # of one feature, so that the largest has the quantile asked for
    largest: Floats = stats.chi2.ppf(each, BINS - 1 if (bins == BINS).all() else np.median(bins) - 1) * scale
    return largest
