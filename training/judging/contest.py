"""What a challenger is judged on beside the champion: rows that neither was trained on, scored by both."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fraud import store
from fraud.errors import SchemaError
from fraud.manifest import Manifest
from fraud.remote.registry import Registry
from fraud.schema import Schema
from fraud.settings import MODEL_NAME
from training import encode, train
from training.dataset import Dataset, row_hashes
from training.judging.contender import Contender
from training.judging.gate import Case
from training.run import Judged
from training.split import Indices, Split

TIMED_ROWS = 200


@dataclass(frozen=True, eq=False)
class ChampionModel:
    """The champion, in the staging store, and what is needed to judge beside it."""

    version: str
    manifest: Manifest
    rows: NDArray[np.uint64]
    served: store.Served | None
    problem: str | None
    """Why this code cannot score with it: it was made for another schema."""


def champion_model(remote: Registry, version: str) -> ChampionModel:
    """Bring the champion to the staging store. Raises RegistryError."""
    manifest = remote.pull(version)
    rows = remote.row_hashes(version)
    try:
        return ChampionModel(version, manifest, rows, _open(version), None)
    except SchemaError as error:
        return ChampionModel(version, manifest, rows, None, str(error))


def case(
    dataset: Dataset, judged: Judged, manifest: Manifest, champion: ChampionModel | None, schema_change_declared: bool
) -> Case:
    """The rows that neither model trained on, scored by both."""
    fitted = [row_hashes(dataset.content[judged.fitted])] + ([champion.rows] if champion else [])
    test = judged.parts.test
    fresh = test[~np.any([known(dataset, rows, test) for rows in fitted], axis=0)]
    ours = _open(manifest.model_version)
    theirs, problem = _comparable(champion, dataset.schema) if champion else (None, None)
    models = [served for served in (ours, theirs) if served]
    inputs = [encode.features_of(served.features, dataset, fresh) for served in models]
    challenger, *others = contenders(models, inputs)
    reference = train.score(judged.model, inputs[0]) if len(fresh) else challenger.scores
    return Case(
        labels=dataset.labels[fresh],
        amounts=None if dataset.amounts is None else dataset.amounts[fresh],
        left_out=len(test) - len(fresh),
        challenger=challenger,
        champion=others[0] if others else None,
        champion_problem=problem,
        scorer_differences=int((challenger.scores != reference).sum()),
        schema_change_declared=schema_change_declared,
        remedy=_remedy(champion.manifest, judged.parts) if champion else "",
    )


def known(dataset: Dataset, trained_rows: NDArray[np.uint64], part: Indices) -> NDArray[np.bool_]:
    """Of each row of ``part``, ``(len(part),)``, whether it is one of those whose hashes these are."""
    return np.isin(row_hashes(dataset.content[part]), trained_rows)


def contenders(models: Sequence[store.Served], inputs: Sequence[train.Features]) -> list[Contender]:
    """Each model's scores of its ``inputs``, features of the same rows, and what a row costs it."""
    seconds = _seconds_per_row(models, inputs)
    return [_contender(*one) for one in zip(models, inputs, seconds, strict=True)]


def _remedy(champion: Manifest, parts: Split) -> str:
    """How to hold out rows that the champion does not know, where ``parts`` has too few of them."""
    facts = champion.split
    if champion.refit == "all":
        return "the champion was fitted on every row of its time (--refit all), so wait for newer ones"
    if facts.protocol == "dates":
        return "the champion was trained on named days, so name others with --train and --test"
    if (facts.protocol, facts.seed) == (parts.protocol, parts.seed):
        return "add rows that the champion was not trained on"
    return f"the champion does not know what --split {facts.protocol} --split-seed {facts.seed} holds out"


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
