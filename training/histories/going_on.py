"""Histories of rows that a saved model is judged on: from its saved state, where that is of the time before them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fraud import home, store
from fraud.history.amounts import times_of
from fraud.history.layout import FURTHEST
from fraud.inputs.keys import KeyHasher
from fraud.replay.grouped import features_of
from fraud.replay.state_file import StateFile, read_facts
from training.dataset import Dataset, keys_of

OVER_THEMSELVES = "counted over these rows alone"


def from_saved(dataset: Dataset, served: store.Served, hasher: KeyHasher | None) -> tuple[Dataset, str | None]:
    """The data set with the histories that its rows are judged with, and these in words; None where there are none.

    ``dataset`` has them counted over its own rows, which is right where the saved state holds some of these already:
    each would count twice. Raises ModelError where the saved state is damaged, or not the model's.
    """
    schema, path = dataset.schema, home.history_path(served.version)
    if not schema.history:
        return dataset, None
    if hasher is None or dataset.others is None or not path.is_file():
        return dataset, f"{OVER_THEMSELVES}: no state is saved for the model"
    saved = StateFile(path, schema, hasher.fingerprint)
    if saved.facts.as_of_us is None or saved.facts.as_of_us >= times_of(dataset.rows, schema).min():
        return dataset, f"{OVER_THEMSELVES}: the saved state, as of {saved.facts.as_of}, reaches into their time"
    inputs, begin = dataset.rows[:, : len(schema.inputs)], saved.states(schema).of
    found = features_of(inputs, keys_of(dataset.others, schema), schema, dataset.labels, begin=begin)
    rows = np.hstack([inputs, found])
    rows.flags.writeable = False
    return replace(dataset, rows=rows), f"the state of {served.version} as of {saved.facts.as_of}"


def from_newest(
    dataset: Dataset, models: Sequence[store.Served], hasher: KeyHasher | None
) -> tuple[Dataset, str | None]:
    """As ``from_saved``, for several models: from the newest state that is of the time before the rows."""
    said = None
    for served in sorted(models, key=_as_of, reverse=True):
        found, said = from_saved(dataset, served, hasher)
        if found is not dataset:
            return found, said
    return dataset, said


def _as_of(served: store.Served) -> int:
    path = home.history_path(served.version)
    newest = read_facts(path).as_of_us if path.is_file() else None
    return -FURTHEST if newest is None else newest
