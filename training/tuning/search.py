"""The search itself: one trial after the other, each over the same folds, until trials or time are used up."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, Trial, TrialState

from fraud.errors import DataError, FraudError
from training.console import Steps
from training.judging.ranking import Ranking
from training.train import Labels, Progress, Scores
from training.tuning.budget import Budget, CutError, Meter, release
from training.tuning.folds import Fold
from training.tuning.study import Family, Study


class Search:
    """Trials of one study over ``folds``; the best will be judged once more, beside its starts if they are."""

    def __init__(
        self, study: Study, folds: list[Fold], budget: Budget, steps: Steps, *, seed: int, judges_starts: bool
    ) -> None:
        self._study, self._folds, self._budget, self._steps = study, folds, budget, steps
        self._seed, self._judges_starts = seed, judges_starts
        self._keep()

    def run(self, trials: int) -> None:
        """Go on until there are ``trials`` of them, or until what is left of the time is needed to judge the best.

        Raises FraudError when the first settings of all do not come to an end within the budget.
        """
        while self._study.finished < trials and self._budget.is_left:
            starts, number = self._study.family.starts, self._study.finished
            what = f"Trying the {starts[number].name}" if number < len(starts) else "Choosing settings"
            self._steps.start(f"{self._study.family.name} {number + 1} of {trials}", what)
            self._trial(self._study.ask(self._seed))
            self._keep()
        if self._study.first is None:  # what calls before took is all there was
            raise self._too_little("time")

    def _too_little(self, why: str) -> FraudError:
        return FraudError(
            f"the first settings of {self._study.family.name} did not come to their end within the {why} "
            f"given: give more with {'--minutes' if why == 'time' else '--memory-gb'}"
        )

    def _keep(self) -> None:
        """Reserve as much time as the trials took whose settings will be judged, each once."""
        starts = [*self._study.started.values()] if self._judges_starts else []
        best = [one for one in (self._study.best,) if one and one not in starts]
        self._of_starts, self._of_best = (sum(one.user_attrs["seconds"] for one in some) for some in (starts, best))
        self._budget.reserve = self._of_starts + self._of_best

    def _check(self, _: object = None) -> None:
        """After each piece of work; a trial that takes long may be the best. Raises CutError."""
        self._meter.tick()
        self._budget.reserve = self._of_starts + max(self._of_best, self._meter.seconds)
        self._budget.check()

    def _trial(self, trial: Trial) -> None:
        value: float | None = None
        why: str | None = "interrupted"
        state = TrialState.FAIL
        self._meter = Meter(self._budget.clock, lambda seconds: trial.set_user_attr("seconds", seconds))
        try:
            value, state, why = self._figure(trial), TrialState.COMPLETE, None
        except CutError as cut:
            why = str(cut)
            if self._study.first is None and why in ("time", "memory"):
                raise self._too_little(why) from None
            state = TrialState.PRUNED
        except DataError as error:  # settings that a fold has too few frauds for
            if self._study.first is None:
                raise
            why, state = str(error), TrialState.PRUNED
        finally:
            self._meter.end()
            trial.set_user_attr("why", why)
            self._study.tell(trial, value, state)
            release()
        best = self._study.best
        came = f"average precision {value:.4f}" if value is not None else f"pruned ({why})"
        self._steps.done(f"{came}, the best so far {best.value if best else 0:.4f}")

    def _figure(self, trial: Trial) -> float:
        """Average precision over all folds; raises CutError."""
        family, scores = self._study.family, []
        settings, cost = family.settle(trial.params, self._study.finished, self._check)
        self._study.note(trial, settings, cost)
        self._steps.say("  " + worded(settings))
        for step, fold in enumerate(self._folds):
            scores.append(family.scores(settings, fold, self._check))
            value = average_precision(self._folds[: step + 1], scores)
            trial.report(value, step)
            if step + 1 < len(self._folds):
                self._check()
                if trial.should_prune():
                    raise CutError("median")
        return value


def worded(settings: Mapping[str, Any]) -> str:
    """Settings of a trial in one line."""
    kinds = ({name: one for name, one in settings.items() if name != "also"}, *settings.get("also", ()))
    return "; and ".join(", ".join(f"{name} {one}" for name, one in kind.items()) for kind in kinds)


def scores_of(family: Family, trial: FrozenTrial, folds: list[Fold], tick: Progress) -> Scores:
    """Of all rows of ``folds``, fold by fold, by the settings of a trial; ``tick`` after each piece of work."""
    settings = trial.user_attrs["settings"]
    return np.concatenate([family.scores(settings, fold, tick) for fold in folds])


def labels_of(folds: list[Fold]) -> Labels:
    """Of all rows held out, fold by fold."""
    return np.concatenate([fold.held_labels for fold in folds])


def average_precision(folds: list[Fold], scores: list[Scores]) -> float:
    """Over the rows of all folds together."""
    labels = labels_of(folds)
    return Ranking(np.concatenate(scores), labels == 1).curve(np.ones(len(labels))).average_precision
