"""Boosted trees are searched in the same folds, and compared with the forest."""

import sys

import numpy as np
import pytest

from fraud.errors import FraudError
from tests.training.tuning.small import searched, tried
from training.tuning import BOOSTERS
from training.tuning.boosters import Boosters


@pytest.mark.parametrize("name", BOOSTERS)
def test_where_one_is_not_installed_it_is_said_what_to_do(monkeypatch, source, name):
    """Before any work, in one sentence."""
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(FraudError, match=r"is not installed here: make \.venv-baselines/\.ready, and call"):
        searched(source, "boosted", also=[name])


@pytest.mark.parametrize("name", BOOSTERS)
def test_the_forest_is_paired_with_the_best_of_a_booster(source, name):
    """On fresh folds, by an interval; a search of it follows from its seed."""
    pytest.importorskip(name)
    found, said = searched(source, "boosted", trials=3, also=[name])
    again, _ = searched(source, "again", trials=3, also=[name])
    assert tried(found, name) == tried(again, name)
    assert len(tried(found, name)) == 3
    paired = found["on_fresh_folds"][name]["average precision"]
    assert paired["value"] == pytest.approx(paired["own"] - paired["other"])
    assert paired["low"] <= paired["value"] <= paired["high"]
    assert f"average precision on fresh folds, less {name}: " in said


@pytest.mark.parametrize("name", BOOSTERS)
def test_time_is_looked_at_after_each_round(name):
    """So that a trial may end between two of them."""
    pytest.importorskip(name)
    rounds = []
    model = Boosters(name, 0)
    random = np.random.default_rng(0)
    features, labels = random.normal(size=(300, 4)).astype(np.float32), (random.random(300) < 0.3).astype(np.int8)
    from training.tuning.folds import Fold

    fold = Fold(features, labels, features, labels, ())

    def tick(added):
        rounds.append(added)
        if len(rounds) == 7:
            raise KeyError("enough")

    with pytest.raises(KeyError):
        model.scores({**model.starts[0]}, fold, tick)
    assert len(rounds) == 7
