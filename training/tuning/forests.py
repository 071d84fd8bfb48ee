"""The forests that a search tries: scikit-learn's, by the settings of a recipe."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from fraud.manifest import Recipe, Trees
from fraud.scorer.from_sklearn import from_sklearn
from training import train
from training.train import DEFAULTS, ESTIMATORS, Progress, Scores
from training.tuning.folds import Fold

Space = Mapping[str, BaseDistribution]
Params = Mapping[str, Any]
"""A place in a space."""
Settings = Mapping[str, Any]
"""What a model is made by, as a person would write it."""

_STEP = 25
_DEPTHS = (None, 8, 12, 16, 24)
_PROBED = 8
"""Trees by which the cost of a forest is known before it is fitted."""
SEARCHED = (*Trees.model_fields, "also")
"""The settings of a recipe that a search sets."""
_BOTH = "both"
"""Half of the trees random, half extremely randomized, with features a split and leaves of their own."""
_ALSO = "also_"
"""Before the names of the second half's own."""


class Forests:
    """Forests on ``fold``; what is not searched of a recipe is as in ``base``.

    ``most_cost`` bounds what scoring a row may cost beside the defaults, in inner nodes that a row passes: a forest
    has fewer trees where they are deeper.
    """

    name = "forest"

    def __init__(self, base: Recipe, fold: Fold, most_cost: float, jobs: int = 1) -> None:
        self._base, self._fold, self._most_cost, self._jobs = base, fold, most_cost, jobs
        self._visited: dict[Recipe, float] = {}
        self._n_features = fold.features.shape[1]
        self._sqrt = max(1, int(np.sqrt(self._n_features)))
        own = {
            "features_a_split": IntDistribution(1, max(self._sqrt, self._n_features // 2), log=True),
            "min_samples_leaf": IntDistribution(1, 20, log=True),
        }
        self.space: Space = {
            "estimator": CategoricalDistribution((*ESTIMATORS, _BOTH)),
            "trees": IntDistribution(_STEP, int(DEFAULTS.trees * most_cost) // _STEP * _STEP, step=_STEP),
            "criterion": CategoricalDistribution(("entropy", "gini")),
            "max_samples": FloatDistribution(0.1, 1.0, step=0.05),
            **own,
            **{_ALSO + name: own[name] for name in own},
            "max_depth": CategoricalDistribution(_DEPTHS),
            "fraud_weight": FloatDistribution(1.0, 100.0, log=True),
        }

    @property
    def starts(self) -> list[Params]:
        """Tried first: the forest of the defaults, and that of the base, or what of it is searched."""
        first, second = self._params(self._defaults), self._params(self._base)
        return [first] if first == second else [first, second]

    @property
    def _defaults(self) -> Recipe:
        return self._base.model_copy(update={name: getattr(DEFAULTS, name) for name in SEARCHED})

    def _params(self, recipe: Recipe) -> Params:
        another = next((kind for kind in recipe.also if kind.estimator != recipe.estimator), (*recipe.also, recipe)[0])
        halves = sorted((recipe, another), key=lambda kind: list(ESTIMATORS).index(kind.estimator))
        first, second = (self._own(kind) for kind in halves)
        both = {"estimator": _BOTH, "trees": recipe.size} if recipe.also else {}
        shared = {name: getattr(recipe, name) for name in self.space if name in Trees.model_fields}
        return {**shared, **both, **first, **{_ALSO + name: second[name] for name in second}}

    def _own(self, kind: Trees) -> Params:
        share = kind.max_features
        chosen = self._sqrt if isinstance(share, str) else max(1, int(share * self._n_features))
        return {"features_a_split": chosen, "min_samples_leaf": kind.min_samples_leaf}

    def recipe(self, settings: Settings) -> Recipe:
        """The whole of it, by the settings that are searched."""
        return Recipe(**{**self._base.model_dump(), **settings})

    def settle(self, params: Params, tick: Progress) -> tuple[Settings, float]:
        """The settings of a recipe, in numbers that a person would write, and the cost beside the defaults."""
        estimators = tuple(ESTIMATORS) if params["estimator"] == _BOTH else (params["estimator"],)
        kinds = [self._kind(params, one, of) for one, of in zip(estimators, ("", _ALSO), strict=False)]
        settings = {**kinds[0], "also": kinds[1:]}
        usual = self._visits(self._defaults, tick)
        a_tree = self._visits(self.recipe(settings), tick) / (usual * DEFAULTS.trees)
        trees = min(params["trees"], max(len(kinds), int(self._most_cost / a_tree + 1e-6)))
        halves = [{**kind, "trees": len(range(place, trees, len(kinds)))} for place, kind in enumerate(kinds)]
        return {**halves[0], "also": halves[1:]}, trees * a_tree

    def _kind(self, params: Params, estimator: str, of: str) -> dict[str, Any]:
        """Settings of the trees of one kind, whose own are named ``of`` it."""
        chosen = params[of + "features_a_split"]
        return {
            "estimator": estimator,
            "trees": params["trees"],
            "criterion": params["criterion"],
            "max_samples": round(params["max_samples"], 2),
            "max_features": "sqrt" if chosen == self._sqrt else min(1.0, round((chosen + 0.5) / self._n_features, 4)),
            "min_samples_leaf": params[of + "min_samples_leaf"],
            "max_depth": params["max_depth"],
            "fraud_weight": float(f"{params['fraud_weight']:.3g}"),
        }

    def _visits(self, recipe: Recipe, tick: Progress) -> float:
        """Inner nodes of a tree that a row passes, on average over the rows it is fitted on."""
        also = tuple(kind.model_copy(update={"trees": _PROBED}) for kind in recipe.also)
        probe = recipe.model_copy(update={"trees": _PROBED, "also": also})
        if probe in self._visited:
            return self._visited[probe]
        model = self._fitted(self._fold, probe, tick)
        trees = [tree.tree_ for tree in model.estimators_]
        passed = [tree.n_node_samples[tree.children_left >= 0].sum() / tree.n_node_samples[0] for tree in trees]
        return self._visited.setdefault(probe, float(np.mean(passed)))

    def scores(self, settings: Settings, fold: Fold, tick: Progress) -> Scores:
        """Of the rows held out, to the bit as scikit-learn gives them."""
        return from_sklearn(self._fitted(fold, self.recipe(settings), tick), fold.nullable).score(fold.held)

    def _fitted(self, fold: Fold, recipe: Recipe, tick: Progress) -> train.Forest:
        """``tick`` is called after every two trees a core."""
        piece = 2 * effective_n_jobs(self._jobs)
        return train.fit(fold.features, fold.labels, recipe, jobs=self._jobs, progress=tick, chunk=piece)
