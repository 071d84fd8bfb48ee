"""The forests that a search tries: scikit-learn's, by the settings of a recipe."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

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

_TOLERANCE = 1.1
"""What the base may cost more: found at the bound, it is a little above it on rows that came later."""
Space = Mapping[str, BaseDistribution]
Params = Mapping[str, Any]
"""A place in a space."""
Kind = TypeVar("Kind", bound=Trees)
Settings = Mapping[str, Any]
"""What a model is made by, as a person would write it."""


class Start(NamedTuple):
    """What is tried before anything is searched for: what it is called, where it is in the space, and what it is."""

    name: str
    place: Params
    settings: Settings


_STEP = 25
_DEPTHS = (None, 8, 12, 16, 24)
_DEEP = 32
"""A depth that comes near to none."""
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
    has fewer trees where they are deeper; that of the base may cost a tenth more.
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
        self._defaults = base.model_copy(update={name: getattr(DEFAULTS, name) for name in SEARCHED})
        begun = {"defaults": self._defaults} | ({} if base == self._defaults else {"recipe": base})
        self.starts: Sequence[Start] = [
            Start(name, self._place(recipe), self.settings(recipe)) for name, recipe in begun.items()
        ]

    def _place(self, recipe: Recipe) -> Params:
        """Where it is in the space, or what is nearest to it there: of several kinds of trees, two halves."""
        another = next((kind for kind in recipe.also if kind.estimator != recipe.estimator), (*recipe.also, recipe)[0])
        halves = sorted((recipe, another), key=lambda kind: list(ESTIMATORS).index(kind.estimator))
        first, second = (self._own(kind) for kind in halves)
        both = {"estimator": _BOTH, "trees": recipe.size} if recipe.also else {}
        shared = {name: getattr(recipe, name) for name in self.space if name in Trees.model_fields}
        place = {**shared, **both, **first, **{_ALSO + name: second[name] for name in second}}
        return {name: _nearest(value, self.space[name]) for name, value in place.items()}

    def _own(self, kind: Trees) -> Params:
        share = kind.max_features
        chosen = self._sqrt if isinstance(share, str) else max(1, int(share * self._n_features))
        return {"features_a_split": chosen, "min_samples_leaf": kind.min_samples_leaf}

    def recipe(self, settings: Settings) -> Recipe:
        """The whole of it, by the settings that are searched."""
        return Recipe(**{**self._base.model_dump(), **settings})

    def settings(self, recipe: Recipe) -> Settings:
        """What is searched of a recipe."""
        return recipe.model_dump(include=set(SEARCHED)) | {"also": [kind.model_dump() for kind in recipe.also]}

    def settle(self, params: Params, number: int, tick: Progress) -> tuple[Settings, float]:
        """The settings of a recipe, in numbers that a person would write, and the cost beside the defaults."""
        recipe, most = self._at(params), self._most_cost
        if number < len(self.starts):
            recipe, most = self.recipe(self.starts[number].settings), most * _TOLERANCE
        cost = self._cost(recipe, tick)
        if cost > most:
            recipe = _thinned(recipe, self._most_cost / cost)
            cost = self._cost(recipe, tick)
        return self.settings(recipe), cost

    def _at(self, params: Params) -> Recipe:
        """What a place in the space stands for."""
        estimators = tuple(ESTIMATORS) if params["estimator"] == _BOTH else (params["estimator"],)
        kinds = [self._kind(params, one, of) for one, of in zip(estimators, ("", _ALSO), strict=False)]
        halves = [{**kind, "trees": len(range(at, params["trees"], len(kinds)))} for at, kind in enumerate(kinds)]
        return self.recipe({**halves[0], "also": halves[1:]})

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

    def _cost(self, recipe: Recipe, tick: Progress) -> float:
        """Of scoring a row, beside the defaults."""
        both = (recipe, self._defaults)
        ours, usual = (sum(kind.trees * self._visits(kind, tick) for kind in one.kinds) for one in both)
        return ours / usual

    def _visits(self, kind: Trees, tick: Progress) -> float:
        """Inner nodes of a tree that a row passes, on average over the rows it is fitted on."""
        own = {name: getattr(kind, name) for name in Trees.model_fields} | {"trees": _PROBED}
        probe = self._base.model_copy(update={**own, "also": ()})
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


def _nearest(value: Any, choices: BaseDistribution) -> Any:  # noqa: ANN401
    """The choice that is nearest to a value; of depths, none is the deepest."""
    if isinstance(choices, CategoricalDistribution):
        among = choices.choices
        return value if value in among else min(among, key=lambda depth: abs((depth or _DEEP) - value))
    numbers = cast("IntDistribution | FloatDistribution", choices)
    within = min(max(value, numbers.low), numbers.high)
    return numbers.low + round((within - numbers.low) / numbers.step) * numbers.step if numbers.step else within


def _thinned(recipe: Recipe, share: float) -> Recipe:
    """The share of the trees of each kind; one at least."""
    also = tuple(_fewer(kind, share) for kind in recipe.also)
    return _fewer(recipe, share).model_copy(update={"also": also})


def _fewer(kind: Kind, share: float) -> Kind:
    return kind.model_copy(update={"trees": max(1, int(kind.trees * share + 1e-6))})
