"""``tune``: the best settings of a forest for some data, found and judged inside the training part of its split alone.

The rows that ``run`` tests on are put aside before anything is looked at. What is best of many trials flatters itself,
so it is judged once more beside the defaults and the recipe of before, on folds that no trial has seen.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from fraud.manifest import Recipe
from training import data, split
from training.console import Steps
from training.dataset import Dataset, select
from training.judging import contender
from training.run import TrainingPlan, divide, split_seed
from training.train import Scores
from training.tuning import budget, folds, fresh, recipe_file, study, telling
from training.tuning.boosters import Boosters
from training.tuning.folds import Fold, Folding
from training.tuning.forests import Forests
from training.tuning.plan import TuningPlan
from training.tuning.search import Search, labels_of, scores_of
from training.tuning.study import Family, Study


def tune(plan: TuningPlan, steps: Steps, clock: Callable[[], float] = time.monotonic) -> dict[str, Any]:
    """Search, judge, and write the recipe where it is asked for; what there is to tell.

    An interrupt ends the search, and what was found so far is told; nothing is judged or written then. Raises
    DataError or FraudError.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    recipe = plan.training.recipe
    if plan.use:
        recipe_file.check_writable(plan.use)
    boosters = [Boosters(name, recipe.seed, plan.training.jobs) for name in plan.also]
    rows, protocol = _training_part(plan.training, steps)
    folding = Folding(protocol != "stratified", plan.folds or recipe.folds, split_seed(plan.training))
    searched = folds.folds(rows, folding, recipe)
    facts = telling.facts(plan, rows, protocol, folding)
    forests = Forests(recipe, searched[0], plan.most_cost, plan.training.jobs)
    families: list[Family] = [forests, *boosters]
    with study.opened(plan.name) as storage:
        studies = [Study(storage, family, plan.name, facts) for family in families]
        tuning = _Tuning(plan, rows, folding, searched, studies, steps, clock)
        judged = tuning.searched_and_judged()
        if not studies[0].has_tried(forests.starts[-1].settings):
            steps.warn(telling.not_tried(plan.name))
        found = telling.document(plan, rows, folding, forests, studies, judged)
        before = recipe_file.read(plan.use) if plan.use and plan.use.exists() else None
        is_known = before is None or studies[0].has_tried(forests.settings(before))
    if plan.use and judged is not None:
        if not is_known:
            steps.warn(telling.not_judged(plan.use))
        recipe_file.write(plan.use, Recipe(**found["best"]["recipe"]), telling.comment(plan, found))
        steps.say(f"written: {plan.use}")
        found["recipe_file"] = str(plan.use)
    return found


def _training_part(plan: TrainingPlan, steps: Steps) -> tuple[Dataset, str]:
    """The rows to train on, and the protocol by which the others were put aside."""
    dataset = data.load_telling(plan.sources, plan.schema, steps, plan.hasher)
    parts = divide(plan, dataset)
    if parts.protocol == "stratified" and (keys := split.keys_of_labels(plan.schema)):
        raise split.tells_labels(keys, "search with --split time")
    kept = np.zeros(dataset.size, bool)
    kept[parts.train] = True
    steps.say(f"  {dataset.size - len(parts.train)} rows are put aside, and not looked at ({parts.protocol} split)")
    return select(dataset, kept), parts.protocol


class _Tuning:
    """A search of each family, and the judgement of what they come to."""

    def __init__(
        self,
        plan: TuningPlan,
        rows: Dataset,
        folding: Folding,
        searched: list[Fold],
        studies: Sequence[Study],
        steps: Steps,
        clock: Callable[[], float],
    ) -> None:
        self._plan, self._rows, self._folding, self._studies = plan, rows, folding, studies
        self._searched, self._steps, self._clock = searched, steps, clock

    def searched_and_judged(self) -> dict[str, Any] | None:
        """What was found beside the others on fresh folds; None where somebody interrupted."""
        try:
            for one in self._studies:
                self._search(one)
            return self._judged()
        except KeyboardInterrupt:
            if self._studies[0].best is None:
                raise
            self._steps.warn("interrupted: the same command goes on; this is what was found so far")
            return None

    def _search(self, one: Study) -> None:
        left = self._plan.minutes * 60 - one.seconds
        limits = budget.Budget(left, budget.memory_to_use(self._plan.memory_gb), self._clock)
        limits.check_start()
        seed, is_forest = self._plan.training.recipe.seed, one is self._studies[0]
        search = Search(one, self._searched, limits, self._steps, seed=seed, judges_starts=is_forest)
        search.run(self._plan.trials)

    def _judged(self) -> dict[str, Any]:
        """The best forest beside the defaults, the recipe that was begun with, and the best of each other family."""
        self._steps.say(telling.outcome(self._studies[0]))
        self._searched.clear()  # there is room for one set of folds
        recipe, (forest, *boosted) = self._plan.training.recipe, self._studies
        folding = replace(self._folding, fresh=True)
        parts = folds.folds(self._rows, folding, recipe)
        ours = self._fresh_scores(forest, forest.best, parts)
        begun = {"defaults": forest.first, **forest.started}
        others = {name: self._fresh_scores(forest, trial, parts) for name, trial in begun.items()}
        others |= {one.family.name: self._fresh_scores(one, one.best, parts) for one in boosted}
        labels, precision, judged = labels_of(parts), recipe.target_precision, {}
        for name, theirs in others.items():
            differences = contender.differences(ours, theirs, labels, precision, seed=recipe.seed)
            judged[name] = contender.less("other", differences)
            for figure, one in differences.items():
                tell = self._steps.say if one.value >= 0 else self._steps.warn
                tell(f"{figure} on fresh folds, less {name}: {one.value:+.4f} [{one.low:+.4f}, {one.high:+.4f}]")
        _, recall = contender.figure_names(precision)
        if words := telling.sparse_recall(judged["defaults"][recall]["own"], precision):
            self._steps.warn(words)
        return judged

    def _fresh_scores(self, one: Study, trial: FrozenTrial | None, parts: list[Fold]) -> Scores:
        """Those of a trial's settings; kept with the study, and so fitted once."""
        assert trial is not None, "a search ends with a complete trial, or with an error"  # noqa: S101
        if (kept := fresh.read(one, trial)) is not None:
            return kept
        self._steps.start("judge", f"{one.family.name} {one.number_of(trial)}, on folds that no trial has seen")
        before = one.judging_seconds
        meter = budget.Meter(self._clock, lambda seconds: one.note_judging(before + seconds))
        try:
            scores = scores_of(one.family, trial, parts, meter.tick)
        finally:
            meter.end()
        self._steps.done(f"{len(scores)} rows scored")
        fresh.write(one, trial, scores)
        return scores
