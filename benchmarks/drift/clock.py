"""Windows by the clock, nothing injected: what the time of day and another day do to the indices."""

import numpy as np

from benchmarks.drift.tables import FEATURE_THRESHOLDS, SCORE, SCORE_THRESHOLDS, SIZES, Floats, table
from benchmarks.drift.windows import Watch, following, halves, spans, watch
from fraud.schema import default
from training.dataset import Dataset
from training.train import Recipe

DAY_SECONDS = 86_400.0
SPANS = {"1 h": 3600.0, "6 h": 21_600.0, "1 d": DAY_SECONDS}
MORNING = 8
LEAST_ROWS = 300  # of a window by the clock: fewer are noise, as the first table of the page says

HOUR = default().features.index("hour")
TIME = 0


def by_the_clock(dataset: Dataset, recipe: Recipe, jobs: int, random: np.random.Generator) -> None:
    """Consecutive windows against a reference of the same day, of the other day, and of both."""
    times = dataset.rows[:, TIME]
    first, second = np.flatnonzero(times < DAY_SECONDS), np.flatnonzero(times >= DAY_SECONDS)
    print("## Windows by the clock: consecutive rows, nothing injected\n")
    for title, pairs in (
        ("its own day (both days, counted together)", [halves(first, random), halves(second, random)]),
        ("the other day: day 2 against day 1", [(random.permutation(first), second)]),
        ("the other day: day 1 against day 2", [(random.permutation(second), first)]),
        ("both days", [halves(np.arange(dataset.size), random)]),
    ):
        parts: dict[str, list[Floats]] = {}
        for seen, unseen in pairs:
            for name, indices in _clock_windows(watch(dataset, seen, unseen, recipe, jobs), times[unseen]).items():
                parts.setdefault(name, []).append(indices)
        together = {name: np.concatenate(indices) for name, indices in parts.items()}
        print(f"### Against a reference of {title}\n")
        _time_table(together)
        _feature_table(together)


def _clock_windows(one: Watch, times: Floats) -> dict[str, Floats]:
    """Indices of all consecutive windows, by kind."""
    codes = one.codes(one.features)
    kinds = {f"{size:,} rows": following(len(codes), size) for size in SIZES}
    kinds |= {name: spans(times, seconds) for name, seconds in SPANS.items()}
    kinds["1 h of 1,000 rows"] = [window for window in kinds["1 h"] if len(window) >= 1_000]
    kinds["1 h, from 8 h on"] = [window for window in kinds["1 h"] if one.features[window, HOUR].min() >= MORNING]
    large = {name: [window for window in windows if len(window) >= LEAST_ROWS] for name, windows in kinds.items()}
    return {name: one.indices(codes, windows) for name, windows in large.items() if windows}


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
    table([*head, "score, median", "maximum", *score_limits], rows)


def _feature_table(together: dict[str, Floats]) -> None:
    hours, days_ = together["1 h"], together["1 d"]
    rows = []
    for position in np.argsort(-np.median(hours, axis=0)):
        name = (*default().features, "score")[position]
        hourly = hours[:, position]
        alarms = [f"{(hourly > limit).mean():.0%}" for limit in (0.1, 0.2, 0.5)]
        worst = days_[:, position].max()
        rows.append([name, f"{np.median(hourly):.3f}", f"{hourly.max():.3f}", *alarms, f"{worst:.4f}"])
    print("Each feature in windows of an hour, and of a day\n")
    table(["feature", "1 h, median", "1 h, maximum", "> 0.1", "> 0.2", "> 0.5", "1 d, maximum"], rows)
