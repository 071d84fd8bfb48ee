"""The retraining loop: all data in S3 -> challenger -> gate against the champion -> promotion, or a refusal that stays.

Nothing of a challenger reaches the user's model store before the gate has passed it: the whole loop works in a store
of its own (``staging``), and the winner is then pulled, verified, like any other published model.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from fraud.errors import ConflictError, DataError, SchemaError
from fraud.manifest import Recipe
from fraud.remote import datasets, s3, sources
from fraud.remote.champion import Champion
from fraud.remote.registry import Registry
from fraud.schema import Schema
from training import data, split
from training.console import Steps
from training.judging import contest, gate, repeats, same_secret
from training.judging.contest import ChampionModel
from training.judging.gate import Policy, Verdict
from training.judging.making import making_of, same_case, same_model
from training.judging.repeats import Judgement
from training.run import TrainingPlan, judge, save

Approval = Literal["auto", "manual"]
"""Whether a challenger that passed is promoted at once, or by hand."""


@dataclass(frozen=True)
class RetrainResult:
    """What a retrain came to. ``champion`` is the one that stands afterwards."""

    challenger: str | None
    """None where it was known before the fit that the champion would come out again."""
    champion: str | None
    promoted: bool
    verdict: Verdict
    unchanged: bool = False
    """The challenger came out as the champion itself: there was nothing new to learn from."""
    judged_before: bool = False
    """The challenger is an earlier one that comes out again; nothing was published."""
    waits: str | None = None
    """Why a challenger that passed was not promoted: somebody has to do it."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "challenger": self.challenger,
            "champion": self.champion,
            "promoted": self.promoted,
            "unchanged": self.unchanged,
            "judged_before": self.judged_before,
            "waits": self.waits and {"why": self.waits, "approve": f"python -m training promote {self.challenger}"},
            "verdict": self.verdict.as_dict(),
        }


@contextmanager
def staging() -> Iterator[None]:
    """A BentoML model store of this run's own. To be entered before bentoml is imported, which reads its home then."""
    home_before = os.environ.get("BENTOML_HOME")
    with tempfile.TemporaryDirectory(prefix="fraud-staging-") as home:
        os.environ["BENTOML_HOME"] = home
        try:
            yield
        finally:
            os.environ.pop("BENTOML_HOME")
            if home_before is not None:
                os.environ["BENTOML_HOME"] = home_before


def increments(remote: Registry, count: int) -> list[str]:
    """Addresses of the base and of the first ``count`` increments, to replay what was known week by week."""
    folder = s3.join(remote.uri, datasets.FOLDER, "")
    addresses = sorted(sources.below(folder + datasets.NEW))
    if count > len(addresses):
        raise DataError(f"{folder}{datasets.NEW}: there are {len(addresses)} increments, not {count}")
    return [folder + datasets.BASE, *addresses[:count]]


def retrain(
    remote: Registry,
    plan: TrainingPlan,
    policy: Policy,
    steps: Steps,
    *,
    recipe_of: Callable[[Schema], Recipe] | None = None,
    schema_given: bool = False,
    schema_change_declared: bool = False,
    key_change_declared: bool = False,
    approval: Approval = "auto",
) -> RetrainResult:
    """Train a challenger on all data but the held-out part, gate it, and promote it if it passes.

    Its schema is the champion's; another one that is given has to be declared as a change, and so has another secret
    of keys. ``recipe_of`` gives the recipe of the schema that it comes to, instead of the plan's. Its split is the
    champion's where none is asked for. With ``approval`` by hand it waits once it has passed.
    What was judged before is neither fitted nor published again, as far as that can be known.

    Raises DataError for unusable data, RegistryError when S3 fails, ConflictError when somebody else changed the
    champion while this one was being judged.
    """
    seen = remote.pointer.read()
    champion = contest.champion_model(remote, seen[0].model_version) if seen else None
    plan = replace(plan, schema=_schema(plan.schema, champion, given=schema_given, declared=schema_change_declared))
    if recipe_of is not None:
        plan = replace(plan, recipe=recipe_of(plan.schema))
    if champion and not key_change_declared:
        same_secret.check(champion.manifest, plan.schema, plan.hasher)
    plan = _held_out_alike(plan, champion, steps)
    sources_of = plan.sources or [s3.join(remote.uri, datasets.FOLDER, "")]
    dataset = data.load_telling(sources_of, plan.schema, steps, plan.hasher)
    made = repeats.planned(plan, dataset)
    if made.is_certain:
        if champion and making_of(champion.manifest) == made:
            return _unchanged(None, champion, steps)
        before = repeats.judged_before(remote, champion, policy, lambda manifest: making_of(manifest) == made)
        if before and before[1].would_be_again:
            _tell(before[1], steps)
            return _conclude(remote, *_told(before, steps), seen, approval, judged_before=True)
    judged = judge(plan, dataset, steps)
    manifest = save(plan, dataset, judged)
    if champion and same_model(manifest, champion.manifest):
        return _unchanged(manifest.model_version, champion, steps)
    verdict = _gated(contest.case(dataset, judged, manifest, champion, schema_change_declared), policy, steps)
    twin = repeats.judged_before(remote, champion, policy, lambda other: same_case(manifest, other))
    if twin and twin[1].passed == verdict.passed:
        return _conclude(remote, *_told(twin, steps), seen, approval, judged_before=True)
    _publish(remote, manifest.model_version, verdict, steps)
    return _conclude(remote, manifest.model_version, verdict, seen, approval)


def _held_out_alike(plan: TrainingPlan, champion: ChampionModel | None, steps: Steps) -> TrainingPlan:
    """The champion's split where none is asked for: most rows that another one holds out are known to the champion."""
    protocol = plan.protocol or split.usual(plan.schema)
    if champion is None or plan.periods is not None:
        return replace(plan, protocol=protocol, split_seed=plan.split_seed or 0)
    facts = champion.manifest.split
    if plan.protocol is None and facts.protocol in split.repeatable(plan.schema):
        protocol = cast("split.Protocol", facts.protocol)
        steps.say(f"  rows are held out as for the champion {champion.version}: {protocol}, seed {facts.seed}")
    own = facts.seed if facts.protocol == protocol else 0
    return replace(plan, protocol=protocol, split_seed=own if plan.split_seed is None else plan.split_seed)


def _told(before: Judgement, steps: Steps) -> Judgement:
    version, verdict = before
    word = "passed" if verdict.passed else "refused"
    steps.say(f"known: the same data and settings gave {version}, which the gate has {word}; nothing is published")
    return before


def _gated(case: gate.Case, policy: Policy, steps: Steps) -> Verdict:
    steps.start("gate", f"Judging it beside {case.champion.version if case.champion else 'no champion'}")
    verdict = gate.decide(case, policy)
    _tell(verdict, steps)
    steps.done("passed" if verdict.passed else "refused")
    return verdict


def _tell(verdict: Verdict, steps: Steps) -> None:
    for reason in verdict.reasons:
        steps.judge(_line(reason), passed=reason.passed)


def _publish(remote: Registry, version: str, verdict: Verdict, steps: Steps) -> None:
    steps.start("publish", f"Uploading the challenger and its verdict to {remote.uri}")
    remote.record_verdict(version, verdict.as_dict())  # first: no challenger is ever there without its verdict
    remote.publish(version)
    steps.done(version)


def _conclude(
    remote: Registry,
    version: str,
    verdict: Verdict,
    seen: tuple[Champion, str] | None,
    approval: Approval,
    *,
    judged_before: bool = False,
) -> RetrainResult:
    """Promote what passed, unless it has to wait."""
    waits = _why_it_waits(remote, version, approval, judged_before=judged_before) if verdict.passed else None
    promoted = verdict.passed and waits is None
    after = _promote(remote, version, seen) if promoted else seen and seen[0]
    champion = after.model_version if after else None
    return RetrainResult(version, champion, promoted, verdict, judged_before=judged_before, waits=waits)


def _why_it_waits(remote: Registry, version: str, approval: Approval, *, judged_before: bool) -> str | None:
    """Why a challenger that passed is not promoted at once; None where it is."""
    if approval == "manual":
        return "FRAUD_RETRAIN_APPROVAL=manual"
    if judged_before and any(event.model_version == version for event in remote.pointer.history()):
        return "it was champion before, and somebody went back behind it"
    return None


def _schema(plan: Schema, champion: ChampionModel | None, *, given: bool, declared: bool) -> Schema:
    if champion is None or champion.served is None or (given and declared):
        return plan
    own = champion.served.features.schema
    if given and plan.hash != own.hash:
        raise SchemaError(
            f"the champion {champion.version} is of the schema {own.name}, not of {plan.name}: leave --schema and "
            "FRAUD_SCHEMA out, or say --allow-schema-change"
        )
    return plan if given else own  # one that is given may spell files otherwise


def _unchanged(version: str | None, champion: ChampionModel, steps: Steps) -> RetrainResult:
    steps.say(f"unchanged: the same data and settings gave the champion {champion.version} again")
    detail = "the same data and settings gave the champion itself, to the bit; nothing was published"
    nothing_new = Verdict(True, (gate.Reason("something new", True, detail),), {})
    return RetrainResult(version, champion.version, False, nothing_new, unchanged=True)


def _line(reason: gate.Reason) -> str:
    return f"{reason.rule}: {reason.detail}"


def _promote(remote: Registry, version: str, seen: tuple[Champion, str] | None) -> Champion:
    reason = "passed the gate"
    if seen is not None:
        return remote.promote(version, reason, seen=seen)
    champion = remote.crown_first(version, reason)
    if champion is None:
        raise ConflictError(f"{remote.uri}: somebody else crowned a first champion meanwhile; retrain against it")
    return champion
