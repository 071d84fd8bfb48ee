"""Whether a challenger was judged before, so that it need not be fitted, or at least not be published, again."""

from collections.abc import Callable
from dataclasses import asdict

from fraud.manifest import Manifest
from fraud.remote.registry import Registry
from training import run, split
from training.dataset import Dataset
from training.judging.contest import ChampionModel
from training.judging.gate import Policy, Verdict
from training.judging.making import Making, git_revision, library_versions

Judgement = tuple[str, Verdict]
"""A version and what the gate said of it."""


def judged_before(
    remote: Registry, champion: ChampionModel | None, policy: Policy, is_it: Callable[[Manifest], bool]
) -> Judgement | None:
    """The newest published model that ``is_it``, if it was judged beside this champion by this policy."""
    beside = {"champion_version": champion.version if champion else None, "policy": asdict(policy)}
    for published in remote.versions():
        version = published.manifest.model_version
        if is_it(published.manifest) and (document := remote.verdict(version)):
            verdict = Verdict.of(document)
            if beside.items() <= verdict.figures.items():
                return version, verdict
    return None


def planned(plan: run.TrainingPlan, dataset: Dataset) -> Making:
    """What the forest will follow from; its model's manifest will say the same."""
    return Making(
        git_revision(),
        library_versions(),
        dataset.fingerprint,
        dataset.synthetic,
        dataset.schema.hash,
        run.key_fingerprint(plan, dataset.schema),
        "dates" if plan.periods else plan.protocol or split.usual(dataset.schema),
        run.split_seed(plan),
        plan.recipe,
        plan.refit,
    )
