"""Models of the store on the same rows: the figures of each, and how much better than the first one, paired."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraud import store
from fraud.errors import DataError, ModelError
from fraud.inputs.keys import KeyHasher
from fraud.remote.registry import Registry
from fraud.schema import Schema
from fraud.settings import MODEL_NAME
from training import encode
from training.console import Steps
from training.judging import contender, contest, refit, views
from training.judging.gate import Policy
from training.judging.views import Views
from training.stored import trained_on, unknown_rows

Document = dict[str, Any]


def compare(
    versions: Sequence[str],
    sources: Sequence[str],
    steps: Steps,
    remote: Registry | None = None,
    *,
    schema: Schema | None = None,
    hasher: KeyHasher | None = None,
    repeats: int = 0,
    jobs: int = -1,
) -> Document:
    """Figures and differences as plain values. ``versions``: two or more of the local store, the first the standard.

    Rows that any of the models was fitted on are left out. With ``repeats`` it is their recipes that are compared: each
    is fitted again on so many divisions of all rows into folds, and judged out of fold. Without ``sources`` the rows
    are those that the first model was made of. Raises ModelError where the rows of a model are not known, DataError
    where too few rows are left, or the rows of two schemas do not match.
    """
    if len(set(versions)) < len(versions):
        raise ModelError(f"{', '.join(versions)}: one model is named twice; give different ones")
    models = [store.open_served(store.get(f"{MODEL_NAME}:{version}")) for version in versions]
    if not sources:
        sources = models[0].manifest.data.sources
        steps.say(f"no --data: the rows that {versions[0]} was made of")
    if repeats:
        refit.check(models)
        return refit.compare(models, views.of(models, sources, steps, schema, hasher), repeats, steps, jobs=jobs)
    trained = [_rows_of(version, remote, steps) for version in versions]
    found = views.of(models, sources, steps, schema, hasher)
    everything = np.arange(found.first.size)
    known = [contest.known(*one, everything) for one in zip(found.datasets, trained, strict=True)]
    fresh = _fresh(models, known, found)
    return _judge(models, found, fresh, [int(one.sum()) for one in known], steps)


def _rows_of(version: str, remote: Registry | None, steps: Steps) -> NDArray[np.uint64]:
    rows = trained_on(version, remote, steps)
    if rows is None:
        raise unknown_rows(version)
    return rows


def _fresh(models: Sequence[store.Served], known: Sequence[NDArray[np.bool_]], found: Views) -> NDArray[np.int64]:
    """The rows that no model was fitted on. Raises DataError unless there are frauds and others among them."""
    dataset, fresh = found.first, np.flatnonzero(~np.any(known, axis=0))
    frauds = int(dataset.labels[fresh].sum())
    if not 0 < frauds < len(fresh):
        told = ", ".join(f"{served.version} on {one.sum()}" for served, one in zip(models, known, strict=True))
        raise DataError(
            f"{', '.join(dataset.sources)}: {len(fresh)} of {dataset.size} rows are left, {frauds} of them frauds, as "
            f"models were trained on the others ({told}): {_remedy(models, dataset.size - len(fresh))}"
        )
    return fresh


def _remedy(models: Sequence[store.Served], left_out: int) -> str:
    """What tells more than few rows do."""
    on = "on all rows" if left_out else "on data of more frauds"
    recipes = f", or compare their recipes {on} with --refit {refit.REPEATS}"
    return f"give more rows that none was trained on{recipes if refit.is_possible(models) else ''}"


def _advice(models: Sequence[store.Served], frauds: int, rows: int, left_out: int) -> str | None:
    """What to do where these rows say little: as few frauds as the gate does not judge by, or most rows left out."""
    weak = [f"{frauds} frauds are few to judge by"] if frauds < Policy.min_frauds else []
    weak += [f"{left_out} of {rows + left_out} rows are left out"] if left_out > rows else []
    return f"{', and '.join(weak)}: {_remedy(models, left_out)}" if weak else None


def _judge(
    models: Sequence[store.Served], found: Views, fresh: NDArray[np.int64], trained: Sequence[int], steps: Steps
) -> Document:
    labels = found.first.labels[fresh]
    amounts = None if found.first.amounts is None else found.first.amounts[fresh]
    steps.start("test", f"Judging {len(models)} models on {len(fresh)} rows that none was trained on")
    inputs = [
        encode.features_of(served.features, dataset, fresh)
        for served, dataset in zip(models, found.datasets, strict=True)
    ]
    contenders = contest.contenders(models, inputs)
    metrics = [contender.metrics(one, labels, amounts) for one in contenders]
    precision = metrics[0].precision.value or models[0].manifest.settings.target_precision
    against = [
        contender.less("first", contender.differences(one.scores, contenders[0].scores, labels, precision))
        for one in contenders[1:]
    ]
    frauds, left_out = int(labels.sum()), found.first.size - len(fresh)
    steps.done(f"{frauds} frauds, {left_out} rows left out")
    return {
        "sources": list(found.first.sources),
        "rows": len(fresh),
        "frauds": frauds,
        "left_out": left_out,
        "advice": _advice(models, frauds, len(fresh), left_out),
        "histories": list(found.histories),
        "precision": precision,
        "models": [
            {
                "model_version": one.version,
                "trained_rows": count,
                "threshold": one.threshold,
                "seconds_per_row": one.seconds_per_row,
                "scorer_bytes": one.scorer_bytes,
                "metrics": figures.model_dump(),
                "differences": differences,
            }
            for one, count, figures, differences in zip(contenders, trained, metrics, [None, *against], strict=True)
        ],
    }
