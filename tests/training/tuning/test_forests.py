"""Places in the space that a search looks through, and the recipes they stand for."""

import numpy as np
import optuna
import pytest

from fraud.manifest import Trees
from tests.training.tuning import small
from training.train import DEFAULTS
from training.tuning.folds import Fold
from training.tuning.forests import Forests

RECIPE = DEFAULTS.model_copy(update={"seed": 5})
EXTRA = Trees(**RECIPE.model_dump(include=set(Trees.model_fields)) | {"estimator": "extra-trees", "trees": 5})
PARAMS = {
    "estimator": "both",
    "trees": 25,
    "criterion": "gini",
    "max_samples": 0.35,
    "features_a_split": 3,
    "min_samples_leaf": 1,
    "also_features_a_split": 5,
    "also_min_samples_leaf": 4,
    "max_depth": 8,
    "fraud_weight": 2.0,
}


@pytest.fixture(scope="module")
def fold():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(400, 10)).astype(np.float32)
    labels = (features[:, 0] + features[:, 1] > 1.5).astype(np.int8)
    return Fold(features, labels, features, labels, ())


def test_of_both_kinds_each_has_half_of_the_trees_and_some_settings_of_its_own(fold):
    """The rest is shared; the odd tree is a random one."""
    made = Forests(RECIPE, fold, 3.0)
    recipe = made.recipe(made.settle(PARAMS, 9, lambda _: None)[0])
    first, second = recipe.kinds
    assert (first.estimator, first.trees, first.max_features, first.min_samples_leaf) == (
        "random-forest",
        13,
        "sqrt",
        1,
    )
    assert (second.estimator, second.trees, second.max_features, second.min_samples_leaf) == (
        "extra-trees",
        12,
        0.55,
        4,
    )
    assert {(kind.criterion, kind.max_samples, kind.max_depth, kind.fraud_weight) for kind in recipe.kinds} == {
        ("gini", 0.35, 8, 2.0)
    }
    assert (recipe.seed, recipe.folds) == (RECIPE.seed, RECIPE.folds)


def test_a_forest_of_both_kinds_keeps_to_its_cost(fold):
    """Its trees are fewer where both halves together would cost more; one of each there is."""
    cheap = Forests(RECIPE, fold, 1.0)
    settings, cost = cheap.settle({**PARAMS, "trees": 100, "max_depth": None}, 9, lambda _: None)
    assert 2 < cheap.recipe(settings).size < 30
    assert 0.8 < cost <= 1.0
    settings, _ = cheap.settle({**PARAMS, "trees": 2}, 9, lambda _: None)
    assert [settings["trees"], *(kind["trees"] for kind in settings["also"])] == [1, 1]


def test_what_is_begun_with_is_tried_as_it_stands(fold):
    """The defaults, then the recipe, of three kinds of trees and numbers that no place in the space has."""
    recipe = RECIPE.model_copy(
        update={
            "trees": 33,
            "max_depth": 9,
            "max_samples": 0.37,
            "also": (
                EXTRA.model_copy(update={"max_features": 1.0, "fraud_weight": 90.0}),
                EXTRA.model_copy(update={"trees": 7, "criterion": "gini", "min_samples_leaf": 40}),
            ),
        }
    )
    made = Forests(recipe, fold, 10.0)
    tried = [made.recipe(made.settle(one.place, at, lambda _: None)[0]) for at, one in enumerate(made.starts)]
    base = made.starts[1].place
    assert tried == [RECIPE.model_copy(update={"trees": small.TREES}), recipe]
    optuna.create_trial(value=0.0, params=dict(base), distributions=dict(made.space))  # refuses what lies outside
    assert (base["estimator"], base["trees"], base["max_depth"], base["max_samples"]) == ("both", 45, 8, 0.35)
    assert (base["also_features_a_split"], base["fraud_weight"]) == (5, 10.0)


def test_a_recipe_that_costs_too_much_is_begun_with_in_part(fold):
    """Each of its kinds has fewer trees alike."""
    recipe = RECIPE.model_copy(update={"trees": 80, "also": (EXTRA.model_copy(update={"trees": 40}),)})
    made = Forests(recipe, fold, 3.0)
    settings, cost = made.settle(made.starts[1].place, 1, lambda _: None)
    first, second = made.recipe(settings).kinds
    assert 0.8 * 3 < cost <= 3.0
    assert first.trees < 80
    assert first.trees / second.trees == pytest.approx(2, abs=0.2)


def test_a_recipe_that_was_found_at_the_bound_is_begun_with_whole(fold):
    """On rows that came later it is a little above."""
    recipe = RECIPE.model_copy(update={"trees": 32})
    made = Forests(recipe, fold, 3.0)
    settings, cost = made.settle(made.starts[1].place, 1, lambda _: None)
    assert 3.0 < cost < 3.3
    assert made.recipe(settings) == recipe
    assert made.settle(made.starts[1].place, 2, lambda _: None)[1] <= 3.0  # which the search keeps to


def test_a_recipe_of_both_kinds_has_a_place(fold):
    """Which gives it back."""
    made = Forests(RECIPE, fold, 3.0)
    recipe = made.recipe(made.settle(PARAMS, 9, lambda _: None)[0])
    assert Forests(recipe, fold, 3.0).starts[1].place == PARAMS


def test_a_recipe_that_begins_with_extremely_randomized_trees_keeps_what_each_kind_has(fold):
    """In whatever order its kinds stand; of two alike the second stands for the other half."""
    made = Forests(RECIPE, fold, 3.0)
    first, second = made.recipe(made.settle(PARAMS, 9, lambda _: None)[0]).kinds
    extra = second.model_dump() | {"also": [first.model_dump(include=set(Trees.model_fields))]}
    assert Forests(made.recipe(extra), fold, 3.0).starts[1].place == PARAMS
    alike = made.recipe({"also": [RECIPE.model_dump() | {"min_samples_leaf": 7}]})
    start = Forests(alike, fold, 3.0).starts[1].place
    assert (start["min_samples_leaf"], start["also_min_samples_leaf"]) == (1, 7)
