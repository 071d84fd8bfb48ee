"""A saved model judged on labelled rows, and how many of these it was trained on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraud import store
from fraud.errors import ModelError, RegistryError, one_line
from fraud.inputs.keys import KeyHasher
from fraud.remote.registry import Registry
from fraud.schema import Schema
from fraud.settings import MODEL_NAME
from training.console import Steps
from training.dataset import select
from training.judging import contest, evaluate, segments, views
from training.run import data_facts


def evaluate_stored(
    tag: str,
    sources: Sequence[str],
    steps: Steps,
    remote: Registry | None = None,
    *,
    skip_trained: bool = False,
    schema: Schema | None = None,
    by: str | None = None,
    hasher: KeyHasher | None = None,
) -> dict[str, Any]:
    """Figures of a saved model on labelled rows, and how many of these it was trained on: None when nobody knows.

    The hashes of its training rows are those of the local store, else of ``remote``. ``skip_trained`` leaves the rows
    out. ``by`` names a category or a boolean: the figures of each of its values are given too. Raises ModelError or
    DataError, the former also when rows are to be left out and not known, or when ``schema`` is not the model's.
    """
    served = store.open_served(store.get(tag))
    segments.check(by, served.features.schema)
    known = trained_on(served.version, remote, steps)
    if skip_trained and known is None:
        raise unknown_rows(tag)
    found = views.of([served], sources, steps, schema, hasher)
    dataset = found.first
    trained = None if known is None else contest.known(dataset, known, np.arange(dataset.size))
    _tell_trained(trained, steps, skip_trained=skip_trained)
    if skip_trained and trained is not None:
        dataset = select(dataset, ~trained)
    steps.start("test", f"Judging {served.version} on {dataset.size} rows")
    scores = served.score(dataset.rows, dataset.levels)
    threshold = served.manifest.threshold
    metrics = evaluate.evaluate(scores, dataset.labels, dataset.amounts, threshold)
    steps.done(f"average precision {metrics.average_precision.value:.3f}")
    return {
        "model_version": served.version,
        "data": data_facts(dataset).model_dump(mode="json"),
        "trained_rows": None if trained is None else int(trained.sum()),
        "trained_rows_skipped": skip_trained,
        "threshold": threshold,
        "metrics": metrics.model_dump(),
        **({"history": found.histories[0]} if found.histories else {}),
        **({} if by is None else {"by": {by: segments.figures(dataset, scores, threshold, by)}}),
    }


def unknown_rows(tag: str) -> ModelError:
    """Rows that a model was fitted on cannot be left out."""
    return ModelError(f"{tag}: its training rows are not known here, and so cannot be left out; pull or publish it")


def trained_on(version: str, remote: Registry | None, steps: Steps) -> NDArray[np.uint64] | None:
    """Hashes of the rows that a model was fitted on, if they are in the local store or published."""
    local = store.row_hashes(store.get(f"{MODEL_NAME}:{version}"))
    if local is not None or remote is None:
        return local
    try:
        return remote.row_hashes(version) if remote.published(version) else None
    except RegistryError as error:
        steps.warn(one_line(error))
        return None


def _tell_trained(trained: NDArray[np.bool_] | None, steps: Steps, *, skip_trained: bool) -> None:
    """One line, unless none of the rows was trained on."""
    if trained is None:
        steps.warn("whether the model was trained on these rows is not known: the hashes of its rows are not here")
    elif skip_trained:
        steps.say(f"  left out {trained.sum()} of {len(trained)} rows that the model was trained on")
    elif trained.any():
        flattered = f"the model was trained on {trained.sum()} of {len(trained)} rows, which flatters the figures"
        steps.warn(f"{flattered}; --skip-trained leaves them out")
