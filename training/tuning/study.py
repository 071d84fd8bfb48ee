"""The trials of a search, kept by Optuna in a file of ``BENTOML_HOME``: what was tried is never lost or tried again."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import optuna
from optuna.exceptions import StorageInternalError
from optuna.samplers import PartialFixedSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from fraud import home
from fraud.errors import FraudError, one_line
from training.train import Progress, Scores
from training.tuning.folds import Fold
from training.tuning.forests import Params, Settings, Space, Start

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
_OF, _JUDGING, _SCORES = "of", "judging_seconds", "sha256 of scores of trial"
"""What is kept with a study."""
_STARTED = "started"
"""What is kept with a trial that is one of the starts: its name."""
_OF_RECIPE = " (what no option says the recipe does)"
_SEEDS = 2**32


class Family(Protocol):
    """Models of one kind, and their settings."""

    name: str

    @property
    def space(self) -> Space:
        """What the settings are chosen from."""

    @property
    def starts(self) -> Sequence[Start]:
        """Tried before any others; the first is what the others are compared with."""

    def settle(self, params: Params, number: int, tick: Progress) -> tuple[Settings, float | None]:
        """What the model of a trial is made by, and its cost, where there is a bound to it.

        ``params``: its place in the space; of a start, what is nearest to it. ``number``: how many were before.
        """

    def scores(self, settings: Settings, fold: Fold, tick: Progress) -> Scores:
        """Of the rows held out; ``tick`` is called after each piece of work."""


def folder(name: str) -> Path:
    """Where a study is kept."""
    return home.folder() / "fraud_tuning" / name


@contextmanager
def opened(name: str) -> Iterator[optuna.storages.RDBStorage]:
    """The file of a study, for this process alone.

    Raises FraudError when another one has it, and whenever it cannot be read or written.
    """
    try:
        folder(name).mkdir(parents=True, exist_ok=True)
        lock = (folder(name) / "lock").open("w")
    except OSError as error:
        raise FraudError.not_writable(folder(name), error) from None
    with lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except OSError:
            raise FraudError(
                f"{folder(name)}: another process searches; wait for it, or name another --study"
            ) from None
        try:
            with _storage(folder(name) / "trials.sqlite") as storage:
                yield storage
        except (SQLAlchemyError, StorageInternalError) as error:
            cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
            said = one_line(getattr(cause, "orig", None) or cause)
            raise FraudError(
                f"{folder(name)}: trials cannot be read or written ({said}): see that there is room; where the file is "
                "damaged, name another --study, or remove this one"
            ) from None


@contextmanager
def _storage(path: Path) -> Iterator[optuna.storages.RDBStorage]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


class Study:
    """The trials of one family. ``of`` is what it may be gone on with alone: facts by their names.

    Raises FraudError when it was begun with other facts.
    """

    def __init__(self, storage: optuna.storages.RDBStorage, family: Family, name: str, of: Mapping[str, Any]) -> None:
        self.family, self.name = family, name
        pruner = optuna.pruners.MedianPruner(n_startup_trials=5)
        self._study = optuna.create_study(
            storage=storage, study_name=family.name, direction="maximize", pruner=pruner, load_if_exists=True
        )
        self._check(of)
        for trial in self._of((TrialState.RUNNING,)):  # of a process that was killed
            self._study.tell(trial.number, state=TrialState.FAIL)

    def _check(self, of: Mapping[str, Any]) -> None:
        before = self._study.user_attrs.get(_OF)
        if before is None:
            self._study.set_user_attr(_OF, dict(of))
        elif other := [fact for fact in of if before.get(fact) != of[fact]]:
            raise FraudError(
                f"the study {self.name} was begun with another {', and another '.join(other)}{_OF_RECIPE}, so its "
                f"trials compare with nothing that is tried now: name another --study, or remove {folder(self.name)}"
            )

    def _of(self, states: tuple[TrialState, ...]) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states)

    @property
    def trials(self) -> list[FrozenTrial]:
        """In their order, those that were ended by a fault or a signal too."""
        return self._study.get_trials(deepcopy=False)

    @property
    def finished(self) -> int:
        """How many came to their end, or were pruned."""
        return len(self._of(_FINISHED))

    @property
    def complete(self) -> list[FrozenTrial]:
        """Those with a figure."""
        return self._of((TrialState.COMPLETE,))

    @property
    def first(self) -> FrozenTrial | None:
        """The first of ``starts``, once it is complete."""
        return next(iter(self.complete), None)

    @property
    def best(self) -> FrozenTrial | None:
        """The first of those with the highest figure."""
        return max(self.complete, key=lambda trial: trial.value or 0.0, default=None)

    def has_tried(self, settings: Settings) -> bool:
        """Whether a trial is of these, whatever came of it."""
        return any(trial.user_attrs.get("settings") == settings for trial in self.trials)

    @property
    def started(self) -> dict[str, FrozenTrial]:
        """The complete ones of what was begun with, as it stood, by their names."""
        return {trial.user_attrs[_STARTED]: trial for trial in self.complete if _STARTED in trial.user_attrs}

    def note(self, trial: Trial, settings: Settings, cost: float | None) -> None:
        """What a trial is of; the study may be gone on with from other starts."""
        number = self.finished
        trial.set_user_attr("settings", dict(settings))
        trial.set_user_attr("cost", cost)
        if number < len(self.family.starts) and settings == self.family.starts[number].settings:
            trial.set_user_attr(_STARTED, self.family.starts[number].name)

    def number_of(self, trial: FrozenTrial) -> int:
        """By which people know it, from 1 on: what was interrupted is tried again under the number that it had."""
        return self._numbers()[trial.number]

    def _numbers(self) -> dict[int, int]:
        """By Optuna's, which begin at 0 and count what was interrupted."""
        trials = self.trials
        finished = accumulate((trial.state in _FINISHED for trial in trials), initial=0)
        return {trial.number: before + 1 for trial, before in zip(trials, finished, strict=False)}

    @property
    def seconds(self) -> float:
        """Spent on trials, and on judging what they came to."""
        trials = sum(trial.user_attrs.get("seconds", 0.0) for trial in self.trials)
        return float(trials + self.judging_seconds)

    @property
    def judging_seconds(self) -> float:
        """Spent on judging alone."""
        return float(self._study.user_attrs.get(_JUDGING, 0.0))

    def note_judging(self, seconds: float) -> None:
        """All that was spent on judging so far."""
        self._study.set_user_attr(_JUDGING, seconds)

    def digest_of_scores(self, trial: FrozenTrial) -> str | None:
        """Of the file of its scores on fresh folds, if this study has written one."""
        return self._study.user_attrs.get(f"{_SCORES} {self.number_of(trial)}")

    def keep_digest_of_scores(self, trial: FrozenTrial, digest: str) -> None:
        """By which that file is known again."""
        self._study.set_user_attr(f"{_SCORES} {self.number_of(trial)}", digest)

    def ask(self, seed: int) -> Trial:
        """The next trial. What it tries follows from those that are finished, and ``seed``, alone."""
        number, starts = self.finished, self.family.starts
        sampler: Any = TPESampler(seed=(seed + number) % _SEEDS)
        if number < len(starts):
            with warnings.catch_warnings(category=optuna.exceptions.ExperimentalWarning, action="ignore"):
                sampler = PartialFixedSampler(dict(starts[number].place), sampler)
        self._study.sampler = sampler
        return self._study.ask(dict(self.family.space))

    def tell(self, trial: Trial, value: float | None, state: TrialState) -> None:
        """How a trial ended."""
        self._study.tell(trial, value, state)

    def history(self) -> list[dict[str, Any]]:
        """Each trial, for JSON: what it tried, and what came of it."""
        numbers = self._numbers()
        return [
            {
                "trial": numbers[trial.number],
                "state": trial.state.name.lower(),
                "average_precision": trial.value if trial.state == TrialState.COMPLETE else None,
                "after_each_fold": [trial.intermediate_values[step] for step in sorted(trial.intermediate_values)],
                **{name: trial.user_attrs.get(name) for name in (_STARTED, "cost", "why", "seconds", "settings")},
            }
            for trial in self.trials
        ]
