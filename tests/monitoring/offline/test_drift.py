"""The stability index, the tests and their effect sizes, against hand-computed values and scipy."""

import doctest
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from fraud.profile import BINS, SCORE, Profile, build
from monitoring.offline import drift
from monitoring.offline.drift import FLOOR

RULES = Path(__file__).parents[3] / "monitoring" / "prometheus" / "rules"

spreads = st.lists(st.integers(0, 10_000), min_size=BINS, max_size=BINS).filter(any).map(np.array)
floats = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40).map(np.array)


@pytest.fixture(scope="module")
def normal():
    """5,000 rows of three features and a score, and their profile."""
    values = np.random.default_rng(1).normal(size=(5_000, 4))
    values[:, 3] = stats.norm.cdf(values[:, 3])
    return values, build(("a", "b", "c"), values[:, :3].astype(np.float32), values[:, 3])


def test_examples_in_the_docstrings_hold():
    """Every public function shows one, and doctest runs it."""
    found = doctest.testmod(drift)
    assert (found.failed, found.attempted) == (0, 10)


def test_index_of_two_bins_by_hand():
    """(0.6 - 0.5) ln(0.6 / 0.5) + (0.4 - 0.5) ln(0.4 / 0.5)."""
    expected = 0.1 * math.log(1.2) - 0.1 * math.log(0.8)
    assert drift.psi(np.array([60, 40]), np.array([0.5, 0.5])) == pytest.approx(expected, abs=1e-15)


def test_an_empty_bin_counts_as_the_floor():
    """An empty decile costs (0.1 - 0.0001) ln(1000), on either side, and not infinity."""
    counts, ratios = np.array([0, 1000]), np.array([0.1, 0.9])
    expected = (0.1 - FLOOR) * math.log(0.1 / FLOOR) + 0.1 * math.log(1 / 0.9)
    assert drift.psi(counts, ratios) == pytest.approx(expected, abs=1e-15)
    assert drift.psi(ratios, counts) == pytest.approx(expected, abs=1e-15)


@settings(max_examples=40, deadline=None)
@given(spreads, spreads)
def test_index_is_never_negative_and_the_same_both_ways(first, second):
    """Each bin's difference and logarithm have the same sign."""
    assert drift.psi(first, second) >= 0
    assert drift.psi(first, second) == pytest.approx(drift.psi(second, first), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(spreads, st.integers(1, 50))
def test_index_of_equal_spreads_is_zero(spread, times):
    """However many rows there are."""
    assert drift.psi(spread, spread) == 0
    assert drift.psi(times * spread, spread) == pytest.approx(0, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(spreads, spreads)
def test_index_is_the_promql_formula(counts, reference):
    """sum((clamp_min(a, 1e-4) - clamp_min(r, 1e-4)) * ln(clamp_min(a, 1e-4) / clamp_min(r, 1e-4))), bin by bin."""
    ratios = reference / reference.sum()
    total = 0.0
    for count, ratio in zip(counts.tolist(), ratios.tolist(), strict=True):
        actual = max(count / int(counts.sum()), 1e-4)
        total += (actual - max(ratio, 1e-4)) * math.log(actual / max(ratio, 1e-4))
    profile = Profile(("x",), np.zeros((1, BINS - 1)), ratios[None])
    assert drift.psi_by_name(counts[None], profile)["x"] == pytest.approx(total, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("spread", [[0, 0], [0.0, 0.0]])
def test_index_of_no_rows_is_refused(spread):
    """No spread at all is not a spread like any other."""
    with pytest.raises(ValueError, match="at least one row"):
        drift.psi(np.array(spread), np.array([0.5, 0.5]))


def test_index_of_samples_of_one_population_is_near_chi_square():
    """The mean over windows of n rows is (bins - 1) (1/n + 1/N), here with an exact reference (Yurdakul 2018)."""
    random = np.random.default_rng(5)
    counts = random.multinomial(2_000, [0.1] * BINS, size=4_000)
    found = drift.psi_by_row(counts, np.full(BINS, 0.1)).mean()
    assert found == pytest.approx((BINS - 1) / 2_000, rel=0.03)


def test_names_are_those_of_the_profile(normal):
    """The score is one of them, last."""
    values, profile = normal
    found = drift.psi_by_name(profile.counts(values, values[:, :3].astype(np.float32), values[:, 3]), profile)
    assert list(found) == ["a", "b", "c", SCORE]
    assert max(found.values()) == pytest.approx(0, abs=1e-12)


def test_chi_square_is_scipys_where_all_bins_are_large():
    """The p-value is that of Pearson's test, and V the root of the statistic over n (k - 1)."""
    counts = np.array([90, 120, 80, 110])
    p_value, effect = drift.chi_square(counts, np.full(4, 0.25))
    expected = stats.chisquare(counts)
    assert p_value == pytest.approx(expected.pvalue, rel=1e-12)
    assert effect == pytest.approx(math.sqrt(expected.statistic / (400 * 3)), rel=1e-12)


def test_chi_square_puts_bins_of_few_expected_rows_together():
    """Two bins with 2 rows expected each become one with 4, and with the next smallest one of 24."""
    found = drift.chi_square(np.array([160, 19, 11, 10]), np.array([0.88, 0.1, 0.01, 0.01]))
    assert found[0] == pytest.approx(stats.chisquare([160, 40], [176, 24]).pvalue, rel=1e-12)


def test_chi_square_takes_no_notice_of_padding():
    """Bins that neither side uses change nothing, however many rows there are."""
    counts, ratios = np.array([500_000, 500_300]), np.array([0.5, 0.5])
    padded = drift.chi_square(np.append(counts, [0] * 8), np.append(ratios, [0.0] * 8))
    assert padded == drift.chi_square(counts, ratios)


def test_chi_square_of_a_bin_the_reference_never_saw_is_finite():
    """Where every row is new, the p-value is 0 and the effect is near 1."""
    p_value, effect = drift.chi_square(np.array([0, 10_000]), np.array([1.0, 0.0]))
    assert p_value == 0
    assert effect == pytest.approx(1.0)


def test_chi_square_of_a_constant_says_nothing():
    """One bin on either side: no difference, and no NaN."""
    assert drift.chi_square(np.array([50, 0]), np.array([1.0, 0.0])) == (1.0, 0.0)


@settings(max_examples=40, deadline=None)
@given(spreads, spreads)
def test_chi_square_is_finite_and_in_bounds(counts, reference):
    """p-value and effect size are in 0..1 whatever is counted."""
    p_value, effect = drift.chi_square(counts, reference / reference.sum())
    assert 0 <= p_value <= 1
    assert 0 <= effect <= 1 + 1e-9


def test_holm_by_hand():
    """0.01 x 4, 0.02 x 3, 0.03 x 2, and 0.04 x 1 is lifted to the one before it."""
    assert drift.holm(np.array([0.04, 0.01, 0.03, 0.02])).tolist() == pytest.approx([0.06, 0.04, 0.06, 0.06])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30).map(np.array))
def test_holm_keeps_the_order_and_lies_between_none_and_bonferroni(p_values):
    """Corrected values are never smaller than given, and never above Bonferroni's."""
    corrected = drift.holm(p_values)
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(corrected[order]) >= 0).all()
    assert (corrected >= p_values).all()
    assert (corrected <= np.minimum(1, p_values * len(p_values)) + 1e-12).all()


@settings(max_examples=40, deadline=None)
@given(floats, floats)
def test_cliffs_delta_is_the_count_of_pairs(first, second):
    """Pairs above minus pairs below, over all pairs."""
    pairs = np.sign(first[:, None] - second[None, :]).mean()
    assert drift.cliffs_delta(first, second) == pytest.approx(pairs, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(floats, floats)
def test_kolmogorov_smirnov_d_is_the_largest_gap(first, second):
    """D is the largest distance of the two empirical distribution functions."""
    points = np.concatenate([first, second])
    gaps = (first[:, None] <= points).mean(axis=0) - (second[:, None] <= points).mean(axis=0)
    assert drift.kolmogorov_smirnov(first, second)[1] == pytest.approx(np.abs(gaps).max(), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(floats, st.floats(-1e3, 1e3))
def test_wasserstein_of_a_move_is_its_length(values, move):
    """In standard deviations of the reference."""
    assume(values.std() > 1e-3)
    expected = abs(move) / values.std()
    assert drift.wasserstein_sd(values + move, values) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_wasserstein_from_a_constant_has_no_unit():
    """None, not a division by zero."""
    assert drift.wasserstein_sd(np.array([1.0, 2.0]), np.array([3.0, 3.0])) is None


def test_a_moved_feature_is_the_one_finding(normal):
    """It comes first and has drifted; the others have not."""
    values, profile = normal
    moved = values + np.array([0, 0.8, 0, 0])
    findings = drift.compare(profile, moved)
    assert findings[0].name == "b"
    assert [finding.drifted for finding in findings] == [True, False, False, False]


def test_the_score_has_a_threshold_of_its_own(normal):
    """An index between the two thresholds is drift of the one alone."""
    values, profile = normal
    moved = values + np.array([0.3, 0, 0, 0])
    index = drift.compare(profile, moved)[0].psi
    thresholds = {"threshold": index / 2, "threshold_score": index * 2}
    assert drift.compare(profile, moved, **thresholds)[0].drifted
    renamed = Profile((SCORE, "b", "c", "x"), profile.edges, profile.ratios)
    assert not drift.compare(renamed, moved, **thresholds)[0].drifted


def test_the_index_itself_is_not_yet_drift(normal):
    """Drift is above the threshold, as the alert rule has it."""
    values, profile = normal
    moved = values + np.array([0, 0.8, 0, 0])
    index = drift.compare(profile, moved)[0].psi
    assert not drift.compare(profile, moved, threshold=index)[0].drifted
    assert drift.compare(profile, moved, threshold=np.nextafter(index, 0))[0].drifted


def test_what_is_ignored_is_compared_and_not_judged(normal):
    """The index is told all the same."""
    values, profile = normal
    first = drift.compare(profile, values + np.array([0, 0.8, 0, 0]), ignored=frozenset({"b"}))[0]
    assert (first.name, first.judged, first.drifted) == ("b", False, False)
    assert first.psi > drift.THRESHOLD_FEATURE


def test_two_sample_figures_come_with_reference_rows_only(normal):
    """They are those of scipy on the two columns, p-values corrected over all columns."""
    values, profile = normal
    moved = values + np.array([0.1, 0, 0, 0])
    assert drift.compare(profile, moved)[0].ks_d is None
    found = {finding.name: finding for finding in drift.compare(profile, moved, values)}
    test = stats.ks_2samp(moved[:, 0], values[:, 0], method="asymp")
    assert found["a"].ks_d == pytest.approx(test.statistic)
    assert found["a"].ks_p_value == pytest.approx(4 * test.pvalue)
    assert found["b"].ks_p_value == 1.0


def test_with_many_rows_a_difference_that_does_not_matter_is_significant():
    """Why it is the index that decides: 0.05 standard deviations in 100,000 rows."""
    random = np.random.default_rng(2)
    values, shifted = random.normal(size=(100_000, 1)), random.normal(0.05, size=(100_000, 1))
    profile = build(("x",), values.astype(np.float32), np.zeros(1))
    profile = Profile(("x",), profile.edges[:1], profile.ratios[:1])
    finding = drift.compare(profile, shifted, values)[0]
    assert finding.p_value < 1e-6
    assert finding.ks_p_value < 1e-6
    assert finding.psi < 0.01


def test_the_prometheus_rules_have_the_same_numbers():
    """The floor, the minimum of rows of each window, and the thresholds of the alerts."""
    recording, alerts = ((RULES / name).read_text() for name in ("recording.yml", "alerts.yml"))
    indices = dict(re.findall(r"record: fraud:feature_psi:(1[hd])\n(.*?)(?=- record|\Z)", recording, re.DOTALL))
    for window, minimum in (("1h", drift.MINIMUM_ROWS_1H), ("1d", drift.MINIMUM_ROWS_1D)):
        assert re.findall(r">= (\d+)", indices[window]) == [str(minimum)]
        assert {float(floor) for floor in re.findall(r"\b\de-\d\b", indices[window])} == {FLOOR}
    limits = re.findall(
        r'expr: \(?fraud:feature_psi:(?:whole)?(1[hd])\{feature(!?=)"score"\}.* > ([\d.]+)$', alerts, re.M
    )
    expected = {("1h", "="): drift.THRESHOLD_SCORE_1H, ("1d", "!="): drift.THRESHOLD_FEATURE}
    assert {limit[:2] for limit in limits} == set(expected)
    assert all(expected[window, matcher] == float(limit) for window, matcher, limit in limits)
