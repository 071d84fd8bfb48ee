"""Drift, offline: how far the spread of each feature and of the score is from a reference.

Pure functions on arrays; ``drift_report.py`` beside it reads files and models. Decided is on the population stability
index alone, by thresholds that ``docs/drift.md`` derives. The tests tell how sure a difference is, not whether it
matters: with 10,000 rows nearly every difference is significant.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fraud.profile import SCORE, Profile

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

FLOOR = 1e-4
"""Least share of a bin in the index, as in the Prometheus rule: an empty bin has no logarithm."""

THRESHOLD_FEATURE = 0.2
"""Of a window of a day. Within an hour features follow the time of day and are not judged."""

THRESHOLD_SCORE = 0.05
"""Of a window of a day."""

THRESHOLD_SCORE_1H = 0.2
MINIMUM_ROWS_1H = 1_000
MINIMUM_ROWS_1D = 2_000

_LEAST_EXPECTED = 5.0


@dataclass(frozen=True)
class Finding:
    """What was found of one feature, or of the score.

    ``p_value``: of the chi-square test, corrected by Holm over all findings. The last four compare with reference rows
    and are None without them, and of a boolean or a category: levels have no order. ``wasserstein_sd`` is None too when
    the reference rows are all equal.
    """

    name: str
    psi: float
    threshold: float
    judged: bool
    p_value: float
    cramers_v: float
    ks_p_value: float | None = None
    ks_d: float | None = None
    cliffs_delta: float | None = None
    wasserstein_sd: float | None = None

    @property
    def drifted(self) -> bool:
        """Whether the index is above its threshold, as in the alert, and the name is one to be judged."""
        return self.judged and self.psi > self.threshold


def compare(
    profile: Profile,
    values: Floats,
    reference: Floats | None = None,
    *,
    threshold: float = THRESHOLD_FEATURE,
    threshold_score: float = THRESHOLD_SCORE,
    ignored: frozenset[str] = frozenset(),
) -> list[Finding]:
    """Findings of all of ``profile.names``, the largest index first.

    ``values``: ``(n, len(profile.names))``, as ``profile.watched`` gives them: the features, of categories the places
    of their levels, and then, if the profile has it, the score. ``reference``: the same of rows for the two-sample
    tests. What is ``ignored`` is compared but not judged.
    """
    counts = profile.count(values)
    tests = [chi_square(row, ratios) for row, ratios in zip(counts, profile.ratios, strict=True)]
    corrected = holm(np.array([p_value for p_value, _ in tests]))
    samples = [{}] * len(tests) if reference is None else _two_samples(profile, reference, values)
    findings = [
        Finding(
            name,
            index,
            threshold_score if name == SCORE else threshold,
            name not in ignored,
            float(p_value),
            effect,
            **sample,
        )
        for (name, index), p_value, (_, effect), sample in zip(
            psi_by_name(counts, profile).items(), corrected, tests, samples, strict=True
        )
    ]
    return sorted(findings, key=lambda finding: -finding.psi)


def psi(actual: NDArray[np.number], reference: NDArray[np.number]) -> float:
    """Population stability index of two spreads over the same bins: sum of (a - r) ln(a / r).

    Counts or shares, ``(bins,)`` each. Shares below ``FLOOR`` are lifted to it. 0 for equal spreads, never negative,
    the same both ways. It is the symmetric Kullback-Leibler divergence (Jeffreys 1946); for samples of n and N rows of
    one population it is near chi-square(bins - 1) times (1/n + 1/N) (Yurdakul 2018, "Statistical Properties of
    Population Stability Index"). The customary 0.1 and 0.25 are from Siddiqi 2006, "Credit Risk Scorecards".
    Raises ValueError when nothing was counted.

    >>> round(psi(np.array([20, 30, 50]), np.array([0.3, 0.3, 0.4])), 4)
    0.0629
    """
    return float(psi_by_row(np.asarray(actual)[None], np.asarray(reference)[None])[0])


def psi_by_row(actual: NDArray[np.number], reference: NDArray[np.number]) -> Floats:
    """``psi`` along the last axis of counts or shares ``(..., bins)``."""
    a, r = _shares(actual), _shares(reference)
    index: Floats = ((a - r) * np.log(a / r)).sum(axis=-1)
    return index


def psi_by_name(counts: Counts, profile: Profile) -> dict[str, float]:
    """Index of each of ``profile.names`` from ``profile.counts``: what the rule ``fraud:feature_psi`` gives.

    >>> one = Profile(("x",), np.array([[0.0]]), np.array([[0.5, 0.5]]))
    >>> {name: round(index, 4) for name, index in psi_by_name(np.array([[300, 700]]), one).items()}
    {'x': 0.1695}
    """
    return dict(zip(profile.names, psi_by_row(counts, profile.ratios).tolist(), strict=True))


def chi_square(counts: Counts, ratios: Floats) -> tuple[float, float]:
    """p-value and Cramér's V of counts against the shares of a reference, ``(bins,)`` each.

    Pearson's test of goodness of fit. The reference's shares are taken as exact, so with many more rows than the
    reference has the p-value is too small. Bins in which fewer than 5 rows are expected are put together
    (Cochran 1954). V is the root of the statistic over the largest it could be, n (1/q - 1) with q the smallest share
    expected, so that it is 0..1; for equal shares this is Cramér's own (Cramér 1946; Ben-Shachar et al. 2023).

    >>> p_value, effect = chi_square(np.array([20, 30, 50]), np.array([0.3, 0.3, 0.4]))
    >>> round(p_value, 4), round(effect, 4)
    (0.0541, 0.1581)
    """
    used = (counts > 0) | (ratios > 0)  # the rest pads features of few distinct values
    shares = _shares(ratios[used])
    observed, expected = _pooled(counts[used].astype(np.float64), shares / shares.sum() * counts.sum())
    if len(observed) < 2:
        return 1.0, 0.0
    test = stats.chisquare(observed, expected)
    rows = expected.sum()
    largest = rows * (rows / expected.min() - 1)
    return float(test.pvalue), float(np.sqrt(test.statistic / largest))


def holm(p_values: Floats) -> Floats:
    """p-values corrected for how many there are, in their order (Holm 1979).

    Holm's rule keeps the chance of any false rejection, whatever the tests' dependence; features do depend on
    each other.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    steps = (len(p_values) - np.arange(len(p_values))) * p_values[order]
    corrected = np.empty_like(p_values)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def kolmogorov_smirnov(values: Floats, reference: Floats) -> tuple[float, float]:
    """Asymptotic p-value and D, the largest distance of the two distribution functions (Kolmogorov 1933, Smirnov 1948).

    >>> p_value, distance = kolmogorov_smirnov(np.arange(50.0), np.arange(25.0, 75.0))
    >>> p_value < 1e-4, distance
    (True, 0.5)
    """
    test = stats.ks_2samp(values, reference, method="asymp")
    return float(test.pvalue), float(test.statistic)


def cliffs_delta(values: Floats, reference: Floats) -> float:
    """How much more often a value is above a reference value than below, -1..1 (Cliff 1993).

    Needs no spread and no units; ties count for neither. Got from the Mann-Whitney U.

    >>> cliffs_delta(np.array([2.0, 3.0, 4.0]), np.array([1.0, 2.0]))
    0.8333333333333333
    """
    ranks = stats.rankdata(np.concatenate([values, reference]))
    above = ranks[: len(values)].sum() - len(values) * (len(values) + 1) / 2
    return float(2 * above / (len(values) * len(reference)) - 1)


def wasserstein_sd(values: Floats, reference: Floats) -> float | None:
    """Mean distance to move values onto the reference (Vaserstein 1969), in its standard deviations.

    None when the reference does not vary.

    >>> wasserstein_sd(np.array([3.0, 5.0]), np.array([1.0, 3.0]))
    2.0
    """
    deviation = float(reference.std())
    return float(stats.wasserstein_distance(values, reference)) / deviation if deviation else None


def _two_samples(profile: Profile, reference: Floats, values: Floats) -> list[dict[str, float | None]]:
    """The two-sample figures of each column; none of levels, nor where a column is never there."""
    known = [
        tuple(rows[~np.isnan(rows)] for rows in pair) if cut.levels is None else ()
        for cut, pair in zip(profile.cuts, zip(values.T, reference.T, strict=True), strict=True)
    ]
    samples: dict[int, tuple[Floats, Floats]] = {
        place: (pair[0], pair[1]) for place, pair in enumerate(known) if all(map(len, pair)) and pair
    }
    tests = {place: kolmogorov_smirnov(*pair) for place, pair in samples.items()}
    corrected = holm(np.array([p_value for p_value, _ in tests.values()]))
    found: list[dict[str, float | None]] = [{} for _ in known]
    for (place, (_, distance)), p_value in zip(tests.items(), corrected.tolist(), strict=True):
        found[place] = {
            "ks_p_value": p_value,
            "ks_d": distance,
            "cliffs_delta": cliffs_delta(*samples[place]),
            "wasserstein_sd": wasserstein_sd(*samples[place]),
        }
    return found


def _shares(spread: NDArray[np.number]) -> Floats:
    totals = spread.sum(axis=-1, keepdims=True)
    if not (totals > 0).all():
        raise ValueError("expected at least one row in each spread, got none")
    shares: Floats = np.maximum(spread / totals, FLOOR)
    return shares


def _pooled(observed: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Bins of few expected rows put together into one, and that one with the next if it is still small; two stay."""
    order = np.argsort(expected)
    small = min(int((expected < _LEAST_EXPECTED).sum()), len(expected) - 1)
    while 0 < small < len(expected) - 1 and expected[order[:small]].sum() < _LEAST_EXPECTED:
        small += 1
    if small < 2:
        return observed, expected
    few, rest = order[:small], order[small:]
    return np.append(observed[rest], observed[few].sum()), np.append(expected[rest], expected[few].sum())
