"""Fitting is reproducible, on any number of cores and in pieces."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from fraud.features import transform
from fraud.schema import default
from training import train
from training.data import load
from training.train import DEFAULTS

RECIPE = DEFAULTS.model_copy(update={"trees": 25, "folds": 3, "seed": 5})


@pytest.fixture(scope="module")
def data():
    dataset = load(["sample:3000"], default())
    return transform(dataset.rows), dataset.labels


def test_the_same_seed_gives_the_same_forest_on_any_number_of_cores(data):
    """Scores are equal to the bit with one job and with two."""
    one, two = (train.fit(*data, RECIPE, jobs=jobs) for jobs in (1, 2))
    assert np.array_equal(train.score(one, data[0]), train.score(two, data[0]))


def test_another_seed_gives_another_forest(data):
    """The seed is used."""
    one, other = (train.fit(*data, DEFAULTS.model_copy(update={"trees": 5, "seed": seed})) for seed in (1, 2))
    assert not np.array_equal(train.score(one, data[0]), train.score(other, data[0]))


def test_growing_in_pieces_gives_the_trees_of_one_fit(data):
    """The progress bar costs nothing but time: scikit-learn's own single fit scores the same."""
    pieces = train.fit(*data, RECIPE)
    assert RECIPE.trees > train._CHUNK
    settings = {name: value for name, value in pieces.get_params().items() if name != "warm_start"}
    whole = RandomForestClassifier(**settings).fit(*data)
    assert np.array_equal(train.score(pieces, data[0]), train.score(whole, data[0]))


def test_progress_counts_every_tree(data):
    """What is reported adds up to the trees that were asked for."""
    reported = []
    train.fit(*data, RECIPE, progress=reported.append)
    assert sum(reported) == RECIPE.trees
    assert len(reported) > 1


def test_the_fitted_forest_scores_on_one_thread(data):
    """The stored forest's scores do not depend on the order in which threads add them up."""
    assert train.fit(*data, RECIPE, jobs=2).n_jobs == 1
