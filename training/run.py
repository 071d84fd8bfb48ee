"""One training run: data -> split -> threshold on validation rows -> forest -> test figures -> model store."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fraud import home, profile
from fraud.errors import ModelError
from fraud.features import FeaturePath
from fraud.inputs.keys import KeyHasher
from fraud.manifest import DataFacts, Manifest, Metrics, Recipe, ThresholdChoice
from fraud.replay import saving
from fraud.saving import entry
from fraud.schema import Schema, default
from fraud.scorer.file import Probes
from fraud.scorer.forest import Forest
from fraud.scorer.from_sklearn import from_sklearn
from training import data, encode, probes, split, train
from training.console import Steps
from training.dataset import Dataset, keys_of, row_hashes
from training.judging import evaluate, threshold
from training.judging.making import git_revision, library_versions
from training.train import DEFAULTS, Features, Scores
from training.train import Forest as Estimator

LEAST_RECALL = 0.1  # who catches less is told so: a high precision on a handful of rows is nobody's wish
VALIDATION_SHARE = 0.25  # the later part of the training rows, under the time protocol


@dataclass(frozen=True)
class TrainingPlan:
    """What a run is asked to do."""

    sources: Sequence[str]
    schema: Schema = field(default_factory=default)
    protocol: split.Protocol | None = None
    """By default by time, or stratified where the schema names none."""
    periods: tuple[split.Period, split.Period] | None = None
    """Of the training rows and of the test rows, for the protocol ``dates``."""
    recipe: Recipe = DEFAULTS
    refit: Literal["none", "all"] = "none"
    jobs: int = -1
    split_seed: int | None = None
    """Seed of the split; that of the recipe by default. Retraining keeps it, so that held-out rows stay held out."""
    hasher: KeyHasher | None = None
    """What keys are hashed with; without it they are not kept."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A fitted forest, its exact scorer, and what was found out about it."""

    model: Estimator
    forest: Forest
    features: FeaturePath
    fitted: split.Indices
    """The rows it was fitted on."""
    parts: split.Split
    choice: ThresholdChoice
    validation_scores: Scores
    metrics: Metrics


def run(plan: TrainingPlan, steps: Steps) -> Manifest:
    """Train, judge and save one model.

    Raises DataError when the data cannot be used, ModelError when the scorer is not exact.
    """
    dataset = data.load_telling(plan.sources, plan.schema, steps, plan.hasher)
    judged = judge(plan, dataset, steps)
    steps.start("save", "Saving to the BentoML model store")
    manifest = save(plan, dataset, judged)
    saved = home.history_path(manifest.model_version)
    steps.done(f"fraud_detector:{manifest.model_version}{f', and what keys did: {saved}' if saved.is_file() else ''}")
    return manifest


def judge(plan: TrainingPlan, dataset: Dataset, steps: Steps) -> Judged:
    """Everything but the saving: choose the threshold, fit, and evaluate once on the test rows."""
    parts = divide(plan, dataset)
    data.tell_roles(dataset.schema, plan.hasher, steps)
    if parts.protocol == "stratified" and (keys := split.keys_of_labels(dataset.schema)):
        told = f"the histories of {', '.join(keys)} tell rows the labels of earlier ones, held out or not"
        steps.warn(f"{told}: --split time judges honestly")
    validation_scores, choice = _validate(plan, dataset, parts, steps)
    model, forest, path = _fit_exact(plan, dataset, steps, "final forest", parts.train)
    steps.start("test", f"Judging once on {len(parts.test)} test rows")
    metrics = evaluate.evaluate(
        forest.score(encode.features_of(path, dataset, parts.test)),
        dataset.labels[parts.test],
        None if dataset.amounts is None else dataset.amounts[parts.test],
        choice.threshold,
        seed=plan.recipe.seed,
    )
    steps.done(f"average precision {metrics.average_precision.value:.3f}")
    fitted = parts.train
    if plan.refit == "all":
        fitted = np.arange(dataset.size)
        model, forest, path = _fit_exact(plan, dataset, steps, "forest on every row", fitted)
    return Judged(model, forest, path, fitted, parts, choice, validation_scores, metrics)


def divide(plan: TrainingPlan, dataset: Dataset) -> split.Split:
    """Which rows a plan trains on, and which it tests on. Raises DataError."""
    if plan.periods is not None:
        return split.by_dates(dataset, *plan.periods)
    return split.split(dataset, plan.protocol or split.usual(dataset.schema), seed=split_seed(plan))


def split_seed(plan: TrainingPlan) -> int:
    """Seed of the split of a plan."""
    return plan.recipe.seed if plan.split_seed is None else plan.split_seed


def key_fingerprint(plan: TrainingPlan, schema: Schema) -> str | None:
    """Of the secret that keys are hashed with, where there are keys."""
    return plan.hasher.fingerprint if plan.hasher and schema.of_kind("key") else None


def _validate(plan: TrainingPlan, dataset: Dataset, parts: split.Split, steps: Steps) -> tuple[Scores, ThresholdChoice]:
    """Validation scores inside the training rows, and the threshold chosen on them."""
    recipe = plan.recipe
    if parts.protocol == "stratified":
        held = parts.train
        fold_of = split.folds(dataset, held, recipe.folds, parts.seed)
        with steps.trees(f"{recipe.folds} folds for the threshold", recipe.size * recipe.folds) as progress:
            scores = out_of_fold(dataset, held, fold_of, recipe, jobs=plan.jobs, progress=progress)
    else:
        held = split.later_part(dataset, parts.train, VALIDATION_SHARE)
        earlier = np.setdiff1d(parts.train, held, assume_unique=True)
        split.check_part(dataset, "earlier part of the training side", earlier, parts.protocol)
        model, path, _ = _fit(plan, dataset, steps, "forest for the threshold", earlier)
        scores = train.score(model, encode.features_of(path, dataset, held))
    choice = threshold.choose(scores, dataset.labels[held], recipe.target_precision)
    if choice.recall < LEAST_RECALL:
        steps.warn(f"the threshold catches {choice.recall:.1%} of the frauds; a lower --target-precision catches more")
    if choice.rule.startswith(threshold.FALLBACK):
        steps.warn(f"the threshold is that of the {choice.rule} among the validation rows")
    return scores, choice


def out_of_fold(
    dataset: Dataset,
    part: split.Indices,
    fold_of: NDArray[np.int64],
    recipe: Recipe,
    *,
    jobs: int = -1,
    progress: train.Progress = lambda _: None,
) -> Scores:
    """Scores of the rows ``part``, each by a forest that was fitted without the row's fold; ``fold_of`` is ``(n,)``.

    What there is to learn of categories is learnt anew without the fold as well.
    """
    scores = np.empty(len(part))
    for fold in np.unique(fold_of):
        held = fold_of == fold
        path, features = encode.fit(dataset, part[~held], recipe)
        model = train.fit(features, dataset.labels[part[~held]], recipe, jobs=jobs, progress=progress)
        scores[held] = train.score(model, encode.features_of(path, dataset, part[held]))
    return scores


def _fit(
    plan: TrainingPlan, dataset: Dataset, steps: Steps, name: str, part: split.Indices
) -> tuple[Estimator, FeaturePath, Features]:
    path, features = encode.fit(dataset, part, plan.recipe)
    with steps.trees(f"{name}, {len(part)} rows", plan.recipe.size) as progress:
        model = train.fit(features, dataset.labels[part], plan.recipe, jobs=plan.jobs, progress=progress)
    return model, path, features


def _fit_exact(
    plan: TrainingPlan, dataset: Dataset, steps: Steps, name: str, part: split.Indices
) -> tuple[Estimator, Forest, FeaturePath]:
    """A fitted forest and its scorer, which has given scikit-learn's scores of all its rows, bit for bit."""
    model, path, features = _fit(plan, dataset, steps, name, part)
    steps.start("parity", f"Comparing the scorer with scikit-learn on {len(features)} rows")
    forest = from_sklearn(model, path.nullable)
    differing = int((forest.score(features) != train.score(model, features)).sum())
    if differing:
        raise ModelError(f"the scorer differs from scikit-learn on {differing} rows; nothing was saved")
    steps.done("equal, bit for bit")
    return model, forest, path


def save(plan: TrainingPlan, dataset: Dataset, judged: Judged) -> Manifest:
    """Write a judged model to the BentoML model store, with everything that is known about it."""
    path, schema = judged.features, dataset.schema
    rows = encode.rows_of(path, dataset, judged.fitted)
    made_up = probes.make(rows, judged.forest, path, plan.recipe.seed)
    stored = Probes(made_up, train.score(judged.model, path.transform(made_up)))
    reference = profile.reference(path, rows, judged.validation_scores)

    def describe(version: str, files: dict[str, str]) -> Manifest:
        return Manifest(
            model_version=version,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            synthetic=dataset.synthetic,
            schema_hash=schema.hash,
            transaction_schema=schema.document(),
            key_fingerprint=key_fingerprint(plan, schema),
            features=path.names,
            threshold=judged.choice.threshold,
            metrics=judged.metrics,
            validation=judged.choice,
            profile=reference.as_bins(),
            data=data_facts(dataset),
            split=split.facts(judged.parts, dataset),
            settings=plan.recipe,
            refit=plan.refit,
            git_revision=git_revision(),
            versions=library_versions(),
            files=files,
        )

    labels = {"synthetic": str(dataset.synthetic).lower(), "split": judged.parts.protocol, "schema": schema.name}
    hashes = row_hashes(dataset.content[judged.fitted])

    def keep(version: str) -> None:
        if plan.hasher and schema.history and dataset.others is not None:
            target, keys = home.history_path(version), keys_of(dataset.others, schema)
            saving.save(target, dataset.rows, keys, schema, dataset.labels, plan.hasher.fingerprint)

    return entry.save(judged.model, judged.forest, path, stored, describe, labels, hashes, keep)


def data_facts(dataset: Dataset) -> DataFacts:
    """What a manifest says of the rows."""
    return DataFacts(
        sources=dataset.sources,
        rows=dataset.size,
        frauds=dataset.frauds,
        duplicates_dropped=dataset.duplicates_dropped,
        fingerprint=dataset.fingerprint,
    )
