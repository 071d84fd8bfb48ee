"""Boosted trees that were searched for: by Optuna, on folds that nothing else is judged on."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from training import encode, split
from training.dataset import Dataset
from training.train import DEFAULTS
from training.tuning import search
from training.tuning.boosters import Boosters
from training.tuning.folds import Fold

_SEED = 100
"""Of the folds of the search."""
_FOLDS = 3


class Boosted:
    """Of one library on one thread; its settings are searched for once, and kept in ``folder``."""

    def __init__(self, name: str, dataset: Dataset, minutes: float, folder: Path) -> None:
        self._family, self._dataset = Boosters(name, 0), dataset
        self._file = folder / f"{name}.json"
        if not self._file.exists():
            self._file.write_text(json.dumps(self._searched(minutes * 60)) + "\n")
        self._settings: dict[str, Any] = json.loads(self._file.read_text())["settings"]

    def scores(self, fitted: split.Indices, held: split.Indices, seed: int) -> NDArray[np.float64]:
        """Fitted on these rows, the scores of those."""
        family = Boosters(self._family.name, seed)
        return family.scores(self._settings, self._fold(fitted, held), lambda _: None)

    def _fold(self, fitted: split.Indices, held: split.Indices) -> Fold:
        path, features = encode.fit(self._dataset, fitted, DEFAULTS)
        labels = self._dataset.labels
        return Fold(
            features, labels[fitted], encode.features_of(path, self._dataset, held), labels[held], path.nullable
        )

    def _searched(self, seconds: float) -> dict[str, Any]:
        """Settings with the best average precision out of fold, by so many seconds of processor time."""
        everything = np.arange(self._dataset.size)
        fold_of = split.folds(self._dataset, everything, _FOLDS, _SEED)
        folds = [self._fold(everything[fold_of != one], everything[fold_of == one]) for one in range(_FOLDS)]
        until = time.process_time() + seconds

        def figure(trial: optuna.Trial) -> float:
            space = self._family.space
            params = {name: trial._suggest(name, one) for name, one in space.items()}
            settings, _ = self._family.settle(params, lambda _: None)
            trial.set_user_attr("settings", settings)
            scores, value = list[NDArray[np.float64]](), 0.0
            for step, one in enumerate(folds):
                scores.append(self._family.scores(settings, one, lambda _: None))
                value = search.average_precision(folds[: step + 1], scores)
                trial.report(value, step)
                if step + 1 < len(folds) and trial.should_prune():
                    raise optuna.TrialPruned
            return value

        def told(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            print(f"{self._family.name} {trial.number} {trial.state.name} {trial.value}", file=sys.stderr, flush=True)
            if time.process_time() >= until:
                study.stop()

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=0, multivariate=True),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=8),
        )
        for start in self._family.starts:
            study.enqueue_trial(dict(start))
        study.optimize(figure, callbacks=[told])
        return {
            "settings": study.best_trial.user_attrs["settings"],
            "average_precision": study.best_value,
            "trials": len(study.trials),
            "seconds": seconds,
        }
