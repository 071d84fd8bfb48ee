"""Each place of the curve is what counting rows one by one gives, and average precision is that of scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from training.judging.ranking import Ranking, gains

groups = st.lists(st.tuples(st.integers(0, 10), st.booleans(), st.integers(0, 4)), min_size=1, max_size=40)
"""Score in tenths, fraud or not, and how many rows: groups share scores, and some are empty."""


def arrays(drawn):
    scores, fraud, counts = zip(*drawn, strict=True)
    return np.array(scores) / 10, np.array(fraud), np.array(counts, dtype=np.float64)


def curve_of(drawn):
    scores, fraud, counts = arrays(drawn)
    ranking = Ranking(scores, fraud)
    return ranking, ranking.curve(counts[ranking.order])


@settings(max_examples=200, deadline=None)
@given(groups)
def test_each_place_counts_the_rows_from_its_score_on(drawn):
    """Frauds caught and alerts given, at every distinct score from the highest down."""
    scores, fraud, counts = arrays(drawn)
    ranking, curve = curve_of(drawn)
    assert ranking.distinct_scores.tolist() == sorted(set(scores.tolist()), reverse=True)
    assert curve.caught.tolist() == [counts[(scores >= at) & fraud].sum() for at in ranking.distinct_scores]
    assert curve.alerts.tolist() == [counts[scores >= at].sum() for at in ranking.distinct_scores]
    assert (curve.frauds, curve.rows) == (counts[fraud].sum(), counts.sum())


@settings(max_examples=200, deadline=None)
@given(groups.filter(lambda drawn: any(fraud and count for _, fraud, count in drawn)))
def test_average_precision_is_scikit_learns(drawn):
    """With ties and with a number of rows for each group; by recall, and by frauds caught over all frauds."""
    scores, fraud, counts = arrays(drawn)
    _, curve = curve_of(drawn)
    theirs = average_precision_score(fraud, scores, sample_weight=counts)
    assert curve.average_precision == pytest.approx(theirs)
    assert (curve.precision * gains(curve.caught)).sum() / curve.frauds == pytest.approx(theirs)


def test_nothing_to_count_gives_0_and_no_warning():
    """A resample may hold no fraud, and no row of the highest score."""
    ranking = Ranking(np.array([0.9, 0.5]), np.array([True, False]))
    curve = ranking.curve(np.array([0.0, 3.0]))
    assert curve.precision.tolist() == [0.0, 0.0]
    assert curve.recall.tolist() == [0.0, 0.0]
    assert curve.average_precision == 0.0


def test_gains_add_up():
    """The first place gains what it has."""
    assert gains(np.array([2.0, 2.0, 5.0])).tolist() == [2.0, 0.0, 3.0]
