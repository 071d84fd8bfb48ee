"""The paired comparison says what it should of equal, better and worse models."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from training.judging.paired import alone, compare


@pytest.fixture(scope="module")
def rows():
    """Scores of two honest models that see the same signal with noise of their own, and the labels."""
    random = np.random.default_rng(0)
    labels = (random.random(20_000) < 0.005).astype(np.int8)
    signal = 3.0 * labels + random.normal(size=labels.size)
    one, other = (np.round(1 / (1 + np.exp(2 - signal - random.normal(0, 0.3, labels.size))), 2) for _ in range(2))
    return one, other, labels


def test_a_model_does_not_differ_from_itself(rows):
    """Equal scores: no difference, and bounds of exactly zero."""
    for difference in compare(rows[0], rows[0], rows[2], 0.8, resamples=50):
        assert {difference.value, difference.bound, difference.low, difference.high} == {0.0}


def test_average_precision_is_scikit_learns(rows):
    """Both models' figures are those of average_precision_score."""
    one, other, labels = rows
    difference, _ = compare(one, other, labels, 0.8, resamples=2)
    assert difference.challenger == pytest.approx(average_precision_score(labels, one))
    assert difference.champion == pytest.approx(average_precision_score(labels, other))


def test_the_bound_is_that_of_resampled_rows(rows):
    """The grouped paired bootstrap agrees with drawing rows one by one, on one side and on both."""
    one, other, labels = rows
    random = np.random.default_rng(1)
    drawn = []
    for _ in range(300):
        take = random.integers(0, labels.size, labels.size)
        drawn.append(
            average_precision_score(labels[take], one[take]) - average_precision_score(labels[take], other[take])
        )
    difference, _ = compare(one, other, labels, 0.8)
    bounds = [difference.bound, difference.low, difference.high]
    assert bounds == pytest.approx(np.quantile(drawn, [0.05, 0.025, 0.975]), abs=0.01)


def test_the_interval_turns_round_with_the_models(rows):
    """Who is called the challenger changes the sign, and nothing else."""
    one, other, labels = rows
    forth, back = compare(one, other, labels, 0.8)[0], compare(other, one, labels, 0.8)[0]
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low), abs=0.005)


def test_pairing_makes_the_bound_tighter_than_two_separate_intervals(rows):
    """What is hard for both models cancels out."""
    one, other, labels = rows
    paired, _ = compare(one, other, labels, 0.8)
    alone, _ = compare(one, np.zeros_like(one), labels, 0.8)
    assert paired.value - paired.bound < alone.value - alone.bound


def test_a_model_without_signal_is_far_below(rows):
    """Random scores: the bound is close to minus the champion's own figure."""
    one, _, labels = rows
    noise = np.random.default_rng(2).random(labels.size)
    precision, recall = compare(noise, one, labels, 0.8, resamples=60)
    assert precision.bound < -0.3
    assert recall.bound < -0.3


def test_recall_at_equal_precision_is_the_most_that_reaches_it():
    """By hand: the challenger catches both frauds without a false alarm, the champion one."""
    labels = np.array([1, 1, 0, 0], dtype=np.int8)
    challenger, champion = np.array([0.9, 0.8, 0.3, 0.1]), np.array([0.9, 0.2, 0.5, 0.1])
    _, recall = compare(challenger, champion, labels, 1.0, resamples=2)
    assert (recall.challenger, recall.champion) == (1.0, 0.5)


def test_repeats_count_as_their_mean(rows):
    """Scores of two repeats: the mean of both figures, drawn on the same rows, so that noise of one cancels."""
    one, other, labels = rows
    singly = [compare(scores, one, labels, 0.8, resamples=2)[0].challenger for scores in (one, other)]
    both = compare(np.stack([one, other]), np.stack([one, one]), labels, 0.8)[0]
    assert both.challenger == pytest.approx(np.mean(singly))
    assert both.champion == pytest.approx(singly[0])
    alone_differs = compare(other, one, labels, 0.8)[0]
    assert both.value == pytest.approx(alone_differs.value / 2)
    assert both.high - both.low == pytest.approx((alone_differs.high - alone_differs.low) / 2, rel=0.1)


def test_a_model_alone_has_the_figures_that_it_is_compared_with(rows):
    """And an interval around each."""
    one, other, labels = rows
    for figure, difference in zip(alone(one, labels, 0.8), compare(one, other, labels, 0.8), strict=True):
        assert figure.value == difference.challenger
        assert figure.low < figure.value < figure.high
