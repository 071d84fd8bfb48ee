"""Fitting is reproducible, on any number of cores and in pieces."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from fraud.errors import DataError, FraudError
from fraud.features import transform
from fraud.manifest import Recipe
from fraud.schema import default
from fraud.scorer.from_sklearn import from_sklearn
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


def test_the_defaults_give_the_forest_of_before_there_were_more_settings(data):
    """A recipe as older manifests hold it is the same, and so is the forest, to the bit."""
    old = {"trees": 25, "criterion": "entropy", "max_samples": 0.6, "fraud_weight": 10.0, "folds": 3}
    recipe = Recipe.model_validate(old | {"target_precision": 0.93, "seed": 5})
    assert recipe == RECIPE
    settings = {"criterion": "entropy", "max_samples": 0.6, "class_weight": {0: 1.0, 1: 10.0}, "random_state": 5}
    before = RandomForestClassifier(25, **settings).fit(*data)
    assert np.array_equal(train.score(train.fit(*data, recipe), data[0]), train.score(before, data[0]))


def test_settings_are_those_of_scikit_learn(data):
    """What the recipe says of features, leaves and depth is what scikit-learn does of it."""
    more = {"max_features": 0.5, "min_samples_leaf": 4, "max_depth": 5}
    model = train.fit(*data, RECIPE.model_copy(update=more))
    assert {name: model.get_params()[name] for name in more} == more
    assert max(tree.get_depth() for tree in model.estimators_) == 5
    assert not np.array_equal(train.score(model, data[0]), train.score(train.fit(*data, RECIPE), data[0]))


def test_a_forest_of_several_kinds_holds_the_trees_of_one_of_each(data):
    """Each kind as scikit-learn alone grows it by settings of its own, on other rows; the first says what it is."""
    told = []
    more = {"estimator": "extra-trees", "trees": 7, "max_features": 0.5, "min_samples_leaf": 3, "max_samples": 0.3}
    also = (RECIPE.model_copy(update=more), RECIPE.model_copy(update={"criterion": "gini", "fraud_weight": 2.0}))
    model = train.fit(*data, RECIPE.model_copy(update={"also": also}), progress=told.append)
    usual = {"bootstrap": True, "criterion": "entropy", "max_samples": 0.6, "class_weight": {0: 1.0, 1: 10.0}}
    extra = {**usual, "max_samples": 0.3, "max_features": 0.5, "min_samples_leaf": 3}
    alone = [
        RandomForestClassifier(RECIPE.trees, random_state=5, **usual),
        ExtraTreesClassifier(7, random_state=5 ^ 1, **extra),
        RandomForestClassifier(
            RECIPE.trees, random_state=5 ^ 2, **{**usual, "criterion": "gini", "class_weight": {0: 1.0, 1: 2.0}}
        ),
    ]
    expected = [tree.predict_proba(data[0]) for forest in alone for tree in forest.fit(*data).estimators_]
    assert isinstance(model, RandomForestClassifier)
    assert sum(told) == model.n_estimators == len(model.estimators_) == 2 * RECIPE.trees + 7
    assert np.array_equal([tree.predict_proba(data[0]) for tree in model.estimators_], expected)


@pytest.mark.parametrize("estimator", train.ESTIMATORS)
@pytest.mark.parametrize("also", train.ESTIMATORS)
def test_the_scorer_gives_the_scores_of_every_estimator_to_the_bit(data, estimator, also):
    """Of forests as they are fitted here."""
    more = RECIPE.model_copy(update={"estimator": also, "max_features": 0.5})
    for kinds in ((), (more,)):
        model = train.fit(*data, RECIPE.model_copy(update={"estimator": estimator, "also": kinds}))
        assert np.array_equal(from_sklearn(model).score(data[0]), train.score(model, data[0]))


def test_a_kind_of_trees_of_another_version_is_a_stated_error(data):
    """A stored recipe is read whatever it names."""
    with pytest.raises(FraudError, match="both: no kind of trees that this version knows; there are random-forest, "):
        train.fit(*data, RECIPE.model_copy(update={"estimator": "both"}))


def drawn(frauds, weight, rows=10_000):
    """Rows that a tree draws, where so many are frauds."""
    labels = (np.arange(rows) < frauds).astype(np.int8)
    recipe = DEFAULTS.model_copy(update={"trees": 1, "max_depth": 1, "fraud_weight": weight})
    return train.fit(np.zeros((rows, 1), np.float32), labels, recipe, jobs=1)._n_samples_bootstrap


def test_a_weight_that_makes_a_fit_endless_is_refused():
    """Just below the bound a tree draws some times the rows; above it the bound and the rows are said."""
    assert drawn(10, 10_000.0) <= 11 * 10_000
    for weight in (10_001.0, 999_999.0):
        with pytest.raises(DataError, match=r"of at most 10000 where 10 of 10000 rows are frauds, got"):
            drawn(10, weight)


def test_a_weight_that_a_search_may_try_is_never_refused():
    """Whatever part of the rows frauds are; nor is any where there are none."""
    assert drawn(5_000, 100.0) > 10_000
    with pytest.raises(DataError, match="at most 100 where"):
        drawn(5_000, 101.0)
    assert drawn(0, 999_999.0) == 6_000
