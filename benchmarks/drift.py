"""How often the drift thresholds raise false alarms, and what they find; the evidence of ``docs/drift.md``.

python -m benchmarks.drift --data creditcard.parquet

Three measurements, all on rows that the model was not fitted on: windows of the same population drawn at random;
windows by the clock, of the reference's own day and of another; windows with an injected shift.
"""

import argparse
import platform
import time
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.drift_shifts import shifts
from benchmarks.drift_windows import (
    FITTED,
    VALIDATED,
    Indices,
    Watch,
    drawn,
    drawn_with_frauds,
    following,
    spans,
    watch,
)
from fraud.features import FEATURES
from fraud.profile import BINS
from training import data
from training.data import Dataset
from training.train import DEFAULTS, Recipe

SIZES = (500, 2_000, 10_000)
SMALL_SIZES = (100, 200, 300, 500, 700, 1_000, 2_000, 10_000)
FEATURE_THRESHOLDS = (0.1, 0.2, 0.25)
SCORE_THRESHOLDS = (0.02, 0.05, 0.1, 0.2)
QUANTILES = (0.5, 0.95, 0.99, 0.999)
DAY_SECONDS = 86_400.0
SPANS = {"1 h": 3600.0, "6 h": 21_600.0, "1 d": DAY_SECONDS}
MORNING = 8
LEAST_ROWS = 300  # of a window by the clock: fewer are noise, as the first table says

HOUR = FEATURES.index("hour")
SCORE = len(FEATURES)
TIME = 0

Floats = NDArray[np.float64]


def main() -> None:
    """Measure, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--trees", type=int, default=50)
    parser.add_argument("--windows", type=int, default=20_000, help="windows drawn of each size for false alarms")
    parser.add_argument("--shifted", type=int, default=200, help="windows drawn of each size for each shift")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=-1)
    given = parser.parse_args()
    started = time.perf_counter()
    dataset = data.load(given.data)
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "scikit-learn"))
    print(f"{dataset.size} rows, {dataset.frauds} frauds; {given.trees} trees; Python {platform.python_version()}, ")
    print(f"{packages}.\n")
    recipe = DEFAULTS.model_copy(update={"trees": given.trees, "seed": given.seed})
    random = np.random.default_rng(given.seed)
    seen, unseen = _halves(np.arange(dataset.size), random)
    same = watch(dataset, seen, unseen, recipe, given.jobs)
    false_alarms(same, given.windows, random)
    by_the_clock(dataset, recipe, given.jobs, random)
    detection(same, given.shifted, random)
    print(f"\n{time.perf_counter() - started:.0f} s")


def false_alarms(same: Watch, windows: int, random: np.random.Generator) -> None:
    """Windows of the reference's own population: every alarm is a false one."""
    print(f"## Same population: {windows} windows of each size, {len(same.labels)} rows to draw from\n")
    features, score = [], []
    codes = same.codes(same.features)
    for size in SMALL_SIZES:
        indices = same.indices(codes, drawn(random, len(codes), size, windows))
        largest = indices[:, :SCORE].max(axis=1)
        expected = [f"{value:.3f}" for value in _approximated(same, size)]
        features.append([f"{size:,}", *_quantiles(largest), ", ".join(expected), *_alarms(largest, FEATURE_THRESHOLDS)])
        score.append([f"{size:,}", *_quantiles(indices[:, SCORE]), *_alarms(indices[:, SCORE], SCORE_THRESHOLDS)])
    head = ["rows", *(f"{quantile:.1%}" for quantile in QUANTILES)]
    print(f"Largest index of {SCORE} features\n")
    _table([*head, "chi-square says", *(f"> {limit:g}" for limit in FEATURE_THRESHOLDS)], features)
    print("Index of the score\n")
    _table([*head, *(f"> {limit:g}" for limit in SCORE_THRESHOLDS)], score)


def _approximated(same: Watch, size: int) -> Floats:
    """Quantiles of the largest of independent indices, each near chi-square(bins - 1) (1/n + 1/N) (Yurdakul 2018)."""
    bins = (same.profile.ratios[:SCORE] > 0).sum(axis=1)
    scale = 1 / size + 1 / same.reference_rows + 1 / len(same.labels)
    each = np.array(QUANTILES) ** (1 / SCORE)  # of one feature, so that the largest has the quantile asked for
    quantiles: Floats = stats.chi2.ppf(each, BINS - 1 if (bins == BINS).all() else np.median(bins) - 1) * scale
    return quantiles


def by_the_clock(dataset: Dataset, recipe: Recipe, jobs: int, random: np.random.Generator) -> None:
    """Consecutive windows against a reference of the same day, of the other day, and of both."""
    times = dataset.rows[:, TIME]
    first, second = np.flatnonzero(times < DAY_SECONDS), np.flatnonzero(times >= DAY_SECONDS)
    print("## Windows by the clock: consecutive rows, nothing injected\n")
    for title, pairs in (
        ("its own day (both days, counted together)", [_halves(first, random), _halves(second, random)]),
        ("the other day: day 2 against day 1", [(random.permutation(first), second)]),
        ("the other day: day 1 against day 2", [(random.permutation(second), first)]),
        ("both days", [_halves(np.arange(dataset.size), random)]),
    ):
        parts: dict[str, list[Floats]] = {}
        for seen, unseen in pairs:
            for name, indices in _clock_windows(watch(dataset, seen, unseen, recipe, jobs), times[unseen]).items():
                parts.setdefault(name, []).append(indices)
        together = {name: np.concatenate(indices) for name, indices in parts.items()}
        print(f"### Against a reference of {title}\n")
        _time_table(together)
        _feature_table(together)


def _halves(rows: Indices, random: np.random.Generator) -> tuple[Indices, Indices]:
    """Rows at random for model and reference, and the others, in order, for windows."""
    order = random.permutation(rows)
    cut = round(len(rows) * (FITTED + VALIDATED))
    return order[:cut], np.sort(order[cut:])


def _clock_windows(one: Watch, times: Floats) -> dict[str, Floats]:
    """Indices of all consecutive windows, by kind."""
    codes = one.codes(one.features)
    kinds = {f"{size:,} rows": following(len(codes), size) for size in SIZES}
    kinds |= {name: spans(times, seconds) for name, seconds in SPANS.items()}
    kinds["1 h of 1,000 rows"] = [window for window in kinds["1 h"] if len(window) >= 1_000]
    kinds["1 h, from 8 h on"] = [window for window in kinds["1 h"] if one.features[window, HOUR].min() >= MORNING]
    found = {name: [window for window in windows if len(window) >= LEAST_ROWS] for name, windows in kinds.items()}
    return {name: one.indices(codes, windows) for name, windows in found.items() if windows}


def _time_table(together: dict[str, Floats]) -> None:
    rows = []
    for name, indices in together.items():
        without = np.delete(indices, [HOUR, SCORE], axis=1).max(axis=1)
        score = indices[:, SCORE]
        shares = [f"{(without > limit).mean():.0%}" for limit in FEATURE_THRESHOLDS]
        scored = [f"{(score > limit).mean():.0%}" for limit in SCORE_THRESHOLDS]
        hour = f"{np.median(indices[:, HOUR]):.2f}"
        figures = [f"{np.median(without):.3f}", f"{without.max():.3f}"]
        score_figures = [f"{np.median(score):.3f}", f"{score.max():.3f}"]
        rows.append([name, str(len(indices)), hour, *figures, *shares, *score_figures, *scored])
    limits = [f"> {limit:g}" for limit in FEATURE_THRESHOLDS]
    score_limits = [f"score > {limit:g}" for limit in SCORE_THRESHOLDS]
    head = ["window", "windows", "`hour`, median", "largest other, median", "maximum", *limits]
    _table([*head, "score, median", "maximum", *score_limits], rows)


def _feature_table(together: dict[str, Floats]) -> None:
    hours, days_ = together["1 h"], together["1 d"]
    rows = []
    for position in np.argsort(-np.median(hours, axis=0)):
        name = (*FEATURES, "score")[position]
        hourly = hours[:, position]
        alarms = [f"{(hourly > limit).mean():.0%}" for limit in (0.1, 0.2, 0.5)]
        worst = days_[:, position].max()
        rows.append([name, f"{np.median(hourly):.3f}", f"{hourly.max():.3f}", *alarms, f"{worst:.4f}"])
    print("Each feature in windows of an hour, and of a day\n")
    _table(["feature", "1 h, median", "1 h, maximum", "> 0.1", "> 0.2", "> 0.5", "1 d, maximum"], rows)


def detection(same: Watch, windows: int, random: np.random.Generator) -> None:
    """Share of windows with an alarm, when the rows were changed."""
    print(f"## Injected shifts: share of {windows} windows that raise the alarm\n")
    rows = []
    for shift in shifts():
        codes = same.codes(shift.apply(same.features, random))
        found, scored = [], []
        for size in SIZES:
            indices = same.indices(codes, drawn_with_frauds(random, same.labels, shift.frauds, size, windows))
            largest = indices[:, :SCORE].max(axis=1)
            found.append(" / ".join(f"{(largest > limit).mean():.0%}" for limit in FEATURE_THRESHOLDS))
            scored.append(" / ".join(f"{(indices[:, SCORE] > limit).mean():.0%}" for limit in SCORE_THRESHOLDS))
        medians = np.median(indices, axis=0)  # of the largest windows
        own = f"{medians[FEATURES.index(shift.feature)]:.3f}"
        rows.append([shift.text, own, *found, f"{medians[SCORE]:.3f}", *scored])
    limits = " / ".join(f"{limit:g}" for limit in FEATURE_THRESHOLDS)
    score_limits = " / ".join(f"{limit:g}" for limit in SCORE_THRESHOLDS)
    print(f"Features at {limits}, score at {score_limits}; medians are of {SIZES[-1]:,} rows\n")
    sizes = [f"{size:,} rows" for size in SIZES]
    _table(["shift", "its index", *sizes, "score's index", *(f"score, {size}" for size in sizes)], rows)


def _quantiles(values: Floats) -> list[str]:
    return [f"{value:.4f}" for value in np.quantile(values, QUANTILES)]


def _alarms(values: Floats, limits: tuple[float, ...]) -> list[str]:
    return [f"{(values > limit).mean():.3%}" for limit in limits]


def _table(head: list[str], rows: list[list[str]]) -> None:
    print("| " + " | ".join(head) + " |")
    print("| --- " * len(head) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


if __name__ == "__main__":
    main()
