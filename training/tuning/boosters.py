"""Boosted trees, to compare the forest with: they are searched alike, and never served.

They live in an environment of their own (``make .venv-baselines/.ready``).
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from joblib import effective_n_jobs
from optuna.distributions import FloatDistribution, IntDistribution

from fraud.errors import FraudError
from training.train import Progress, Scores
from training.tuning.folds import Fold
from training.tuning.forests import Params, Settings, Space, Start

_SHARED: Space = {
    "n_estimators": IntDistribution(50, 1000, log=True),
    "learning_rate": FloatDistribution(0.01, 0.3, log=True),
    "subsample": FloatDistribution(0.4, 1.0),
    "colsample_bytree": FloatDistribution(0.3, 1.0),
    "reg_lambda": FloatDistribution(0.01, 100.0, log=True),
    "scale_pos_weight": FloatDistribution(1.0, 100.0, log=True),
}
_OWN: dict[str, Space] = {
    "xgboost": {"max_depth": IntDistribution(2, 10), "min_child_weight": FloatDistribution(0.1, 50.0, log=True)},
    "lightgbm": {
        "num_leaves": IntDistribution(4, 128, log=True),
        "min_child_samples": IntDistribution(2, 200, log=True),
    },
}
_START: dict[str, Any] = {
    "n_estimators": 400,
    "learning_rate": 0.1,
    "subsample": 0.8,
    "colsample_bytree": 0.8,
    "reg_lambda": 1.0,
    "scale_pos_weight": 1.0,
}
_OWN_START: dict[str, dict[str, Any]] = {
    "xgboost": {"max_depth": 5, "min_child_weight": 1.0},
    "lightgbm": {"num_leaves": 15, "min_child_samples": 20},
}


class Boosters:
    """Boosted trees of one library; ``seed`` as the forest's. Raises FraudError where it is not installed."""

    def __init__(self, name: str, seed: int, jobs: int = 1) -> None:
        try:
            self._library = import_module(name)
        except ImportError:
            raise FraudError(
                f"{name} is not installed here: make .venv-baselines/.ready, and call "
                ".venv-baselines/bin/python -m training tune instead"
            ) from None
        self.name, self._seed, self._jobs = name, seed, effective_n_jobs(jobs)
        self.space: Space = {**_SHARED, **_OWN[name]}
        start = {**_START, **_OWN_START[name]}
        self.starts: Sequence[Start] = [Start("usual settings", start, start)]

    def settle(self, params: Params, number: int, tick: Progress) -> tuple[Settings, None]:  # noqa: ARG002
        """In numbers that a person would write; what these cost is not bounded."""
        return {name: float(f"{one:.3g}") if isinstance(one, float) else one for name, one in params.items()}, None

    def scores(self, settings: Settings, fold: Fold, tick: Progress) -> Scores:
        """Of the rows held out; ``tick`` is called after each round."""
        shared = {**settings, "n_jobs": self._jobs, "random_state": self._seed}
        model = (self._xgboost if self.name == "xgboost" else self._lightgbm)(shared, fold, tick)
        probabilities: Scores = model.predict_proba(fold.held)[:, 1].astype("float64")
        return probabilities

    def _xgboost(self, settings: dict[str, Any], fold: Fold, tick: Progress) -> Any:  # noqa: ANN401
        class Tick(self._library.callback.TrainingCallback):  # type: ignore[name-defined, misc]
            def after_iteration(self, *_: object) -> bool:
                tick(1)
                return False

        return self._library.XGBClassifier(**settings, callbacks=[Tick()]).fit(fold.features, fold.labels)

    def _lightgbm(self, settings: dict[str, Any], fold: Fold, tick: Progress) -> Any:  # noqa: ANN401
        quiet = {"verbosity": -1, "subsample_freq": 1, "deterministic": True, "force_col_wise": True}
        model = self._library.LGBMClassifier(**settings, **quiet)
        return model.fit(fold.features, fold.labels, callbacks=[lambda _: tick(1)])
