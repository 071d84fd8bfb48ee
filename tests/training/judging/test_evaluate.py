"""Figures equal scikit-learn's, and their intervals are those of a row bootstrap."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from fraud.manifest import Metrics
from training.judging import evaluate

cases = st.lists(st.tuples(st.integers(0, 10), st.integers(0, 1), st.floats(0, 1000)), min_size=5, max_size=60).filter(
    lambda rows: 0 < sum(label for _, label, _ in rows) < len(rows)
)


def arrays(rows):
    scores, labels, amounts = zip(*rows, strict=True)
    return np.array(scores) / 10, np.array(labels, dtype=np.int8), np.array(amounts)


@settings(max_examples=80, deadline=None)
@given(cases, st.integers(0, 10))
def test_figures_equal_those_of_scikit_learn(rows, cut):
    """Average precision, ROC AUC, precision, recall and the confusion matrix agree, ties included."""
    scores, labels, amounts = arrays(rows)
    threshold = cut / 10
    groups = evaluate.Groups(scores, labels, amounts)
    ours = evaluate.figures(groups, groups.sizes, threshold)
    flagged = scores >= threshold
    assert ours["average_precision"] == pytest.approx(metrics.average_precision_score(labels, scores))
    assert ours["roc_auc"] == pytest.approx(metrics.roc_auc_score(labels, scores))
    assert ours["recall"] == pytest.approx(metrics.recall_score(labels, flagged))
    if flagged.any():
        assert ours["precision"] == pytest.approx(metrics.precision_score(labels, flagged))
    else:
        assert np.isnan(ours["precision"])
    matrix = [[ours["true_negatives"], ours["false_positives"]], [ours["false_negatives"], ours["true_positives"]]]
    assert matrix == metrics.confusion_matrix(labels, flagged).tolist()


def test_precision_at_k_shares_out_a_tie():
    """When the k-th score is shared, the frauds of that score count by their share."""
    scores = np.repeat([0.9, 0.5], [40, 40])
    labels = np.concatenate([np.ones(40), np.tile([1, 0], 20)]).astype(np.int8)
    figures = evaluate.evaluate(scores, labels, np.ones(80), 0.7, resamples=2)
    assert figures.precision_at_50.value == pytest.approx((40 + 10 * 20 / 40) / 50)


def test_precision_at_k_needs_k_rows():
    """Fewer rows than k give no figure rather than a wrong one."""
    figures = evaluate.evaluate(np.array([0.9, 0.1]), np.array([1, 0], dtype=np.int8), np.ones(2), 0.5, resamples=2)
    assert figures.precision_at_50.value is None


def test_the_amount_caught_is_that_of_flagged_frauds():
    """Amounts of missed frauds and of false alarms do not count as caught."""
    scores, labels = np.array([0.9, 0.8, 0.2, 0.1]), np.array([1, 0, 1, 0], dtype=np.int8)
    figures = evaluate.evaluate(scores, labels, np.array([100.0, 7.0, 300.0, 9.0]), 0.5, resamples=2)
    assert figures.amount_caught.value == 100.0
    assert figures.amount_caught_share.value == 0.25


def test_intervals_are_those_of_resampled_rows():
    """The grouped bootstrap agrees with resampling rows one by one."""
    random = np.random.default_rng(0)
    labels = (random.random(2000) < 0.05).astype(np.int8)
    scores = np.round(np.clip(random.normal(0.2 + 0.4 * labels, 0.15), 0, 1), 2)
    figures = evaluate.evaluate(scores, labels, np.ones(2000), 0.5)
    drawn = []
    for _ in range(1000):
        rows = random.integers(0, 2000, 2000)
        drawn.append(metrics.average_precision_score(labels[rows], scores[rows]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert figures.average_precision.low == pytest.approx(low, abs=0.02)
    assert figures.average_precision.high == pytest.approx(high, abs=0.02)


def test_a_figure_that_is_not_defined_is_none_and_json_can_hold_it():
    """No alert means no precision: None, never NaN."""
    figures = evaluate.evaluate(np.array([0.1, 0.2]), np.array([1, 0], dtype=np.int8), np.ones(2), 0.9, resamples=5)
    assert figures.precision.model_dump() == {"value": None, "low": None, "high": None}
    json.dumps(figures.model_dump(), allow_nan=False)


def test_every_figure_is_kept():
    """None is worked out that the document has no place for, which would be dropped in silence."""
    groups = evaluate.Groups(np.array([0.9, 0.1]), np.array([1, 0], dtype=np.int8), np.ones(2))
    assert list(evaluate.figures(groups, groups.sizes, 0.5)) == list(Metrics.model_fields)


def test_the_same_seed_gives_the_same_intervals():
    """Intervals are reproducible, and another seed moves them."""
    scores, labels, amounts = np.linspace(0, 1, 200), (np.arange(200) % 7 == 0).astype(np.int8), np.ones(200)
    one, again, other = (evaluate.evaluate(scores, labels, amounts, 0.5, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other
