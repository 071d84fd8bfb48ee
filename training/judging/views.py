"""Rows of files as models of one schema, or of several, read them: the same rows in the same order, or a refusal."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraud import store
from fraud.errors import DataError
from fraud.inputs.keys import KeyHasher
from fraud.schema import Schema
from training import data
from training.console import Steps
from training.dataset import Dataset
from training.histories import going_on


@dataclass(frozen=True)
class Views:
    """Of each model the rows as it reads them, and where their histories come from, in words."""

    datasets: tuple[Dataset, ...]
    histories: tuple[str, ...]

    @property
    def first(self) -> Dataset:
        """As the first model reads them; labels and amounts are those of all."""
        return self.datasets[0]


def of(
    models: Sequence[store.Served],
    sources: Sequence[str],
    steps: Steps,
    schema: Schema | None = None,
    hasher: KeyHasher | None = None,
) -> Views:
    """Read ``sources`` once for each schema; ``schema`` is a spelling of that of all models.

    Histories go on from the newest saved state of the models that is of the time before the rows. Raises DataError
    where two schemas do not find the same rows, SchemaError where ``schema`` is not the models'.
    """
    views: dict[str, Dataset] = {}
    histories = []
    for served in models:
        served.check_schema(schema)
    for served in models:
        own = served.features.schema
        if own.hash in views:
            continue
        alike = [other for other in models if other.features.schema.hash == own.hash]
        try:  # a schema that is given may spell files otherwise
            dataset = data.load_telling(sources, schema or own, steps, hasher)
        except DataError as error:
            if len(alike) == len(models):
                raise
            raise DataError(f"{error} (read for {served.version}, of the schema {own.name})") from None
        dataset, history = going_on.from_newest(dataset, alike, hasher)
        if history is not None:
            steps.say(f"  histories: {history}")
            histories.append(history)
        for other in views.values():
            _check_same(dataset, other)
        views[own.hash] = dataset
    return Views(tuple(views[served.features.schema.hash] for served in models), tuple(histories))


def _check_same(one: Dataset, other: Dataset) -> None:
    """Raise DataError unless two schemas read the same rows in the same order.

    Their ids say so; without these, files of which each row stays, and that both sort by the same times.
    """
    ours, theirs = _ids(one), _ids(other)
    if ours is None or theirs is None:
        dropped = one.duplicates_dropped + other.duplicates_dropped
        known = not dropped and np.array_equal(_moments(one), _moments(other))
    else:
        known = np.array_equal(ours, theirs)
    if not (known and np.array_equal(one.labels, other.labels)):
        raise DataError(
            f"the schemas {one.schema.name} and {other.schema.name} do not read the same rows of "
            f"{', '.join(one.sources)} ({one.size} and {other.size}): give a file in which each row has an id that "
            "both name, or one in which no row is there twice and of which both read the same times"
        )


def _moments(dataset: Dataset) -> NDArray[np.float64]:
    return np.array([]) if dataset.times is None else dataset.times


def _ids(dataset: Dataset) -> NDArray[np.object_] | None:
    """Of each row; None unless every row has one."""
    name = dataset.schema.roles.id
    if name is None or dataset.others is None or name not in dataset.others or dataset.others[name].isna().any():
        return None
    return dataset.others[name].to_numpy(object)
