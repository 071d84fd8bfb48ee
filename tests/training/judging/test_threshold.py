"""The threshold follows from validation rows by a stated rule, and lies between attainable scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.errors import DataError
from training.judging.threshold import choose

rows = st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=50).filter(
    lambda drawn: any(fraud and score for score, fraud in drawn)
)


def arrays(drawn):
    scores, labels = zip(*drawn, strict=True)
    return np.array(scores) / 10, np.array(labels, dtype=np.int8)


def at(scores, labels, threshold):
    """Precision and recall when scores from ``threshold`` on are called fraud."""
    flagged = scores >= threshold
    caught = (flagged & (labels == 1)).sum()
    return caught / max(flagged.sum(), 1), caught / labels.sum()


@given(rows, st.sampled_from([0.5, 0.8, 0.93, 1.0]))
def test_no_other_threshold_with_the_target_precision_has_more_recall(drawn, target):
    """Checked against every attainable threshold, one by one."""
    scores, labels = arrays(drawn)
    chosen = choose(scores, labels, target)
    tried = [at(scores, labels, value) for value in np.unique(scores) if value > 0]
    good = [recall for precision, recall in tried if precision >= target and recall > 0]
    precision, recall = at(scores, labels, chosen.threshold)
    assert (chosen.precision, chosen.recall) == (precision, recall)
    assert chosen.threshold > 0
    if good:
        assert precision >= target
        assert recall == max(good)
        assert chosen.rule == f"highest recall at precision >= {target:g}"
    else:
        f1 = [2 * p * r / (p + r) if p + r else 0 for p, r in tried]
        assert 2 * precision * recall / (precision + recall) == pytest.approx(max(f1))
        assert chosen.rule.startswith("highest F1")


def test_the_threshold_lies_halfway_between_scores():
    """0.6 is the lowest score called fraud and 0.3 the next: 0.45 flips nothing when scores round differently."""
    chosen = choose(np.array([0.9, 0.6, 0.3, 0.1]), np.array([1, 1, 0, 0], dtype=np.int8), 0.9)
    assert chosen.threshold == pytest.approx(0.45)


def test_validation_rows_without_fraud_are_a_stated_error():
    """Nothing can be chosen from legitimate rows alone."""
    with pytest.raises(DataError, match="no fraud among the validation rows"):
        choose(np.array([0.1, 0.2]), np.zeros(2, dtype=np.int8), 0.9)


@pytest.mark.parametrize("target", [0.9, 0.5], ids=["none reaches it", "calling everything fraud reaches it"])
def test_a_score_of_0_is_never_called_fraud(target):
    """Though calling everything fraud would have the highest F1, or the highest recall."""
    scores, labels = np.array([0.4, 0.4, 0.0, 0.0, 0.0, 0.0]), np.array([1, 0, 1, 1, 1, 0], dtype=np.int8)
    chosen = choose(scores, labels, target)
    assert (chosen.threshold, chosen.precision, chosen.recall) == (0.2, 0.5, 0.25)


@pytest.mark.parametrize("score", [0.0, 0.4])
def test_frauds_that_all_score_0_are_a_stated_error(score):
    """Whatever legitimate rows score, no threshold catches a fraud."""
    with pytest.raises(DataError, match="every fraud among the validation rows scores 0: no threshold can be chosen"):
        choose(np.array([score, 0.0]), np.array([0, 1], dtype=np.int8), 0.9)
