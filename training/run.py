"""One training run: data -> split -> threshold on validation rows -> forest -> test figures -> model store."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed
from platform import python_version
from typing import Any, Literal

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from fraud import profile, store
from fraud.errors import ModelError
from fraud.features import FEATURES, transform
from fraud.manifest import DataFacts, Manifest, Metrics, Recipe, SplitFacts, ThresholdChoice
from fraud.schema import COLUMNS, schema_hash
from fraud.scorer.file import Probes
from fraud.scorer.forest import Forest
from fraud.scorer.from_sklearn import from_sklearn
from training import data, probes, split, train
from training.console import Steps
from training.data import Dataset
from training.judging import evaluate, threshold
from training.train import DEFAULTS, Features, Scores

AMOUNT = COLUMNS.index("Amount")
VALIDATION_SHARE = 0.25  # the later part of the training rows, under the time protocol

_PACKAGES = ("scikit-learn", "numpy", "scipy", "joblib", "pandas", "bentoml")


@dataclass(frozen=True)
class TrainingPlan:
    """What a run is asked to do."""

    sources: Sequence[str]
    protocol: split.Protocol = "time"
    recipe: Recipe = DEFAULTS
    refit: Literal["none", "all"] = "none"
    jobs: int = -1
    split_seed: int | None = None
    """Seed of the split; that of the recipe by default. Retraining keeps it, so that held-out rows stay held out."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A fitted forest, its exact scorer, and what was found out about it."""

    model: RandomForestClassifier
    forest: Forest
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
    dataset = data.load_telling(plan.sources, steps)
    judged = judge(plan, dataset, steps)
    steps.start("save", "Saving to the BentoML model store")
    manifest = save(plan, dataset, judged)
    steps.done(f"fraud_detector:{manifest.model_version}")
    return manifest


def judge(plan: TrainingPlan, dataset: Dataset, steps: Steps) -> Judged:
    """Everything but the saving: choose the threshold, fit, and evaluate once on the test rows."""
    features = transform(dataset.rows)
    seed = plan.recipe.seed if plan.split_seed is None else plan.split_seed
    parts = split.split(dataset, plan.protocol, seed=seed)
    validation_scores, choice = _validate(plan, dataset, features, parts, steps)
    model, forest = _fit_exact(plan, steps, "final forest", features[parts.train], dataset.labels[parts.train])
    steps.start("test", f"Judging once on {len(parts.test)} test rows")
    metrics = evaluate.evaluate(
        forest.score(features[parts.test]),
        dataset.labels[parts.test],
        dataset.rows[parts.test, AMOUNT],
        choice.threshold,
        seed=plan.recipe.seed,
    )
    steps.done(f"average precision {metrics.average_precision.value:.3f}")
    fitted = parts.train
    if plan.refit == "all":
        fitted = np.arange(dataset.size)
        model, forest = _fit_exact(plan, steps, "forest on every row", features, dataset.labels)
    return Judged(model, forest, fitted, parts, choice, validation_scores, metrics)


def _validate(
    plan: TrainingPlan, dataset: Dataset, features: Features, parts: split.Split, steps: Steps
) -> tuple[Scores, ThresholdChoice]:
    """Validation scores inside the training rows, and the threshold chosen on them."""
    recipe = plan.recipe
    if plan.protocol == "time":
        held = split.later_part(dataset.rows, parts.train, VALIDATION_SHARE)
        earlier = np.setdiff1d(parts.train, held, assume_unique=True)
        split.check_part(dataset, "earlier part of the training side", earlier, plan.protocol)
        model = _fit(plan, steps, "forest for the threshold", features[earlier], dataset.labels[earlier])
        scores = train.score(model, features[held])
    else:
        held = parts.train
        fold_of = split.folds(dataset, held, recipe.folds, parts.seed)
        with steps.trees(f"{recipe.folds} folds for the threshold", recipe.trees * recipe.folds) as progress:
            scores = train.out_of_fold(
                features[held], dataset.labels[held], fold_of, recipe, jobs=plan.jobs, progress=progress
            )
    choice = threshold.choose(scores, dataset.labels[held], recipe.target_precision)
    if choice.rule.startswith(threshold.FALLBACK):
        steps.warn(f"the threshold is that of the {choice.rule} among the validation rows")
    return scores, choice


def _fit(
    plan: TrainingPlan, steps: Steps, name: str, features: Features, labels: train.Labels
) -> RandomForestClassifier:
    with steps.trees(f"{name}, {len(labels)} rows", plan.recipe.trees) as progress:
        return train.fit(features, labels, plan.recipe, jobs=plan.jobs, progress=progress)


def _fit_exact(
    plan: TrainingPlan, steps: Steps, name: str, features: Features, labels: train.Labels
) -> tuple[RandomForestClassifier, Forest]:
    """A fitted forest and its scorer, which has given scikit-learn's scores of all ``features``, bit for bit."""
    model = _fit(plan, steps, name, features, labels)
    steps.start("parity", f"Comparing the scorer with scikit-learn on {len(features)} rows")
    forest = from_sklearn(model)
    differing = int((forest.score(features) != train.score(model, features)).sum())
    if differing:
        raise ModelError(f"the scorer differs from scikit-learn on {differing} rows; nothing was saved")
    steps.done("equal, bit for bit")
    return model, forest


def save(plan: TrainingPlan, dataset: Dataset, judged: Judged) -> Manifest:
    """Write a judged model to the BentoML model store, with everything that is known about it."""
    rows = dataset.rows[judged.fitted]
    made_up = probes.make(rows, judged.forest, plan.recipe.seed)
    stored = Probes(made_up, train.score(judged.model, transform(made_up)))
    reference = profile.build(FEATURES, transform(rows), judged.validation_scores)

    def describe(version: str, files: dict[str, str]) -> Manifest:
        return Manifest(
            model_version=version,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            synthetic=dataset.synthetic,
            schema_hash=schema_hash(),
            features=FEATURES,
            threshold=judged.choice.threshold,
            metrics=judged.metrics,
            validation=judged.choice,
            profile=reference.as_bins(),
            data=data_facts(dataset),
            split=_split_facts(judged.parts, dataset),
            settings=plan.recipe,
            refit=plan.refit,
            git_revision=git_revision(),
            versions={"python": python_version()} | {name: installed(name) for name in _PACKAGES},
            files=files,
        )

    labels = {"synthetic": str(dataset.synthetic).lower(), "split": plan.protocol}
    return store.save(judged.model, judged.forest, stored, describe, labels, data.row_hashes(rows))


def data_facts(dataset: Dataset) -> DataFacts:
    """What a manifest says of the rows."""
    return DataFacts(
        sources=dataset.sources,
        rows=dataset.size,
        frauds=dataset.frauds,
        duplicates_dropped=dataset.duplicates_dropped,
        fingerprint=dataset.fingerprint,
    )


def _split_facts(parts: split.Split, dataset: Dataset) -> SplitFacts:
    return SplitFacts(
        protocol=parts.protocol,
        seed=parts.seed,
        test_share=parts.test_share,
        train_rows=len(parts.train),
        train_frauds=int(dataset.labels[parts.train].sum()),
        test_rows=len(parts.test),
        test_frauds=int(dataset.labels[parts.test].sum()),
    )


def git_revision(command: Callable[..., Any] = subprocess.run) -> str | None:
    """The revision of the code, with ``-dirty`` when files were changed; None outside a git checkout."""
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = command(describe, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return result.stdout.strip() or None
