"""The retraining loop: all data in S3 -> challenger -> gate against the champion -> promotion, or a refusal that stays.

Nothing of a challenger reaches the user's model store before the gate has passed it: the whole loop works in a store
of its own (``staging``), and the winner is then pulled, verified, like any other published model.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraud import store
from fraud.errors import ConflictError, DataError, SchemaError
from fraud.manifest import Manifest
from fraud.remote import datasets, s3, sources
from fraud.remote.champion import Champion
from fraud.remote.registry import Registry
from fraud.schema import Schema
from fraud.settings import MODEL_NAME
from training import data, encode, train
from training.console import Steps
from training.dataset import Dataset, row_hashes
from training.judging import gate, same_secret
from training.judging.gate import Case, Contender, Policy, Verdict
from training.run import Judged, TrainingPlan, judge, save

TIMED_ROWS = 200


@dataclass(frozen=True)
class RetrainResult:
    """What a retrain came to. ``champion`` is the one that stands afterwards."""

    challenger: str
    champion: str | None
    promoted: bool
    verdict: Verdict
    unchanged: bool = False
    """The challenger came out as the champion itself: there was nothing new to learn from."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "challenger": self.challenger,
            "champion": self.champion,
            "promoted": self.promoted,
            "unchanged": self.unchanged,
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
    schema_given: bool = False,
    schema_change_declared: bool = False,
    key_change_declared: bool = False,
) -> RetrainResult:
    """Train a challenger on all data but the held-out part, gate it, and promote it if it passes.

    Its schema is the champion's; another one that is given has to be declared as a change, and so has another secret
    of keys.

    Raises DataError for unusable data, RegistryError when S3 fails, ConflictError when somebody else changed the
    champion while this one was being judged.
    """
    seen = remote.pointer.read()
    champion = _champion_model(remote, seen[0].model_version) if seen else None
    plan = replace(plan, schema=_schema(plan.schema, champion, given=schema_given, declared=schema_change_declared))
    if champion and not key_change_declared:
        same_secret.check(champion.manifest, plan.schema, plan.hasher)
    sources_of = plan.sources or [s3.join(remote.uri, datasets.FOLDER, "")]
    dataset = data.load_telling(sources_of, plan.schema, steps, plan.hasher)
    judged = judge(plan, dataset, steps)
    manifest = save(plan, dataset, judged)
    version = manifest.model_version
    if champion and _same(manifest, champion.manifest):
        steps.say(f"unchanged: the same data and settings gave the champion {champion.version} again")
        return RetrainResult(version, champion.version, False, _nothing_new(), unchanged=True)
    steps.start("gate", f"Judging it beside {champion.version if champion else 'no champion'}")
    verdict = gate.decide(_case(dataset, judged, manifest, champion, schema_change_declared), policy)
    for reason in verdict.reasons:
        steps.judge(_line(reason), passed=reason.passed)
    steps.done("passed" if verdict.passed else "refused")
    steps.start("publish", f"Uploading the challenger and its verdict to {remote.uri}")
    remote.record_verdict(version, verdict.as_dict())  # first: no challenger is ever there without its verdict
    remote.publish(version)
    steps.done(version)
    champion_after = _promote(remote, version, seen) if verdict.passed else seen and seen[0]
    return RetrainResult(version, champion_after.model_version if champion_after else None, verdict.passed, verdict)


@dataclass(frozen=True, eq=False)
class ChampionModel:
    """The champion, in the staging store, and what is needed to judge beside it."""

    version: str
    manifest: Manifest
    rows: NDArray[np.uint64]
    served: store.Served | None
    problem: str | None
    """Why this code cannot score with it: it was made for another schema."""


def _champion_model(remote: Registry, version: str) -> ChampionModel:
    manifest = remote.pull(version)
    rows = remote.row_hashes(version)
    try:
        return ChampionModel(version, manifest, rows, _open(version), None)
    except SchemaError as error:
        return ChampionModel(version, manifest, rows, None, str(error))


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


def _same(one: Manifest, other: Manifest) -> bool:
    facts = (one.threshold, one.key_fingerprint) == (other.threshold, other.key_fingerprint)
    return facts and one.files[store.FOREST_FILE] == other.files[store.FOREST_FILE]


def _nothing_new() -> Verdict:
    detail = "the same data and settings gave the champion itself, to the bit; nothing was published"
    return Verdict(True, (gate.Reason("something new", True, detail),), {})


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


def _case(
    dataset: Dataset, judged: Judged, manifest: Manifest, champion: ChampionModel | None, schema_change_declared: bool
) -> Case:
    """The rows that neither model trained on, scored by both."""
    known = row_hashes(dataset.content[judged.fitted])
    if champion is not None:
        known = np.union1d(known, champion.rows)
    test = judged.parts.test
    fresh = test[~np.isin(row_hashes(dataset.content[test]), known)]
    ours = _open(manifest.model_version)
    theirs, problem = _comparable(champion, dataset.schema) if champion else (None, None)
    inputs = [encode.features_of(served.features, dataset, fresh) for served in (ours, theirs) if served]
    seconds = _seconds_per_row([served for served in (ours, theirs) if served], inputs)
    challenger = _contender(ours, inputs[0], seconds[0])
    reference = train.score(judged.model, inputs[0]) if len(fresh) else challenger.scores
    return Case(
        labels=dataset.labels[fresh],
        amounts=None if dataset.amounts is None else dataset.amounts[fresh],
        left_out=len(test) - len(fresh),
        challenger=challenger,
        champion=_contender(theirs, inputs[1], seconds[1]) if theirs else None,
        champion_problem=problem,
        scorer_differences=int((challenger.scores != reference).sum()),
        schema_change_declared=schema_change_declared,
    )


def _comparable(champion: ChampionModel, schema: Schema) -> tuple[store.Served | None, str | None]:
    """The champion where it scores rows of ``schema``, else why not."""
    if champion.served is None:
        return None, champion.problem
    own = champion.served.features.schema
    if own.hash != schema.hash:
        return None, f"{champion.version} is of the schema {own.name}, not of {schema.name}"
    return champion.served, None


def _open(version: str) -> store.Served:
    return store.open_served(store.get(f"{MODEL_NAME}:{version}"))


def _contender(served: store.Served, features: train.Features, seconds_per_row: float) -> Contender:
    entry = store.get(f"{MODEL_NAME}:{served.version}")
    return Contender(
        version=served.version,
        scores=served.forest.score(features),
        threshold=served.manifest.threshold,
        scorer_bytes=Path(entry.path_of(store.FOREST_FILE)).stat().st_size,
        seconds_per_row=seconds_per_row,
    )


def _seconds_per_row(models: Sequence[store.Served], inputs: Sequence[train.Features]) -> list[float]:
    """Median time of each model to score one row alone; in turns, so that a busy moment slows all of them."""
    seconds: list[list[float]] = [[] for _ in models]
    for row in range(min(TIMED_ROWS, len(inputs[0]))):
        for served, features, times in zip(models, inputs, seconds, strict=True):
            started = time.perf_counter()
            served.forest.score(features[row : row + 1])
            times.append(time.perf_counter() - started)
    return [float(np.median(times)) if times else float("nan") for times in seconds]
