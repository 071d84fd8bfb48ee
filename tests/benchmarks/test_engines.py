"""What the comparison of engines says about equality is true."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from benchmarks.engines import engines, worst


@pytest.mark.parametrize(
    ("expected", "scores", "flips"),
    [
        ([0.1, 0.5, 0.9], [0.1, 0.5, 0.9], 0),
        ([0.1, 0.5, 0.9], [0.1, 0.4999, 0.9], 1),
        ([0.5, 0.5, 0.9], [0.4999, 0.4999, 0.8999], 2),
        ([0.1, 0.5, 0.9], [0.1, 0.5001, 0.9], 0),  # no threshold lies between the two
        ([0.1, 0.5, 0.9], [0.6, 0.5, 0.9], 1),
        ([0.0, 1.0], [1.0, 0.0], 2),
    ],
)
def test_the_worst_threshold_is_found(expected, scores, flips):
    """Decisions are compared at each threshold that is a score, and the most that differ at one are counted."""
    expected, scores = np.array(expected), np.array(scores)
    assert worst(expected, scores) == flips
    assert flips == max(int(((expected >= cut) != (scores >= cut)).sum()) for cut in expected)


def test_every_installed_engine_scores_as_scikit_learn():
    """Ours give its scores in every bit; what is not installed is named, not left out."""
    features = np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32)
    model = RandomForestClassifier(9, random_state=0, n_jobs=1).fit(features, features[:, 0] > 0.5)
    model.classes_ = model.classes_.astype(int)
    contestants = engines(model)
    assert {"scikit-learn", "ours, numpy", "treelite", "onnxruntime"} <= set(contestants)
    for name in [name for name in contestants if name.startswith("ours")]:
        scores = contestants[name].score(contestants[name].prepare(features))
        assert np.array_equal(scores, model.predict_proba(features)[:, 1]), name
