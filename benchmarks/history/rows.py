"""The rows of the month and those before it: what is trained, what is counted, and what the store begins with."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fraud import store
from fraud.history.layout import layouts
from fraud.history.stores import AnyStore, open_store
from fraud.inputs.keys import KeyHasher
from fraud.replay.states import States
from fraud.schema import Schema
from fraud.settings import Settings
from training.console import Steps
from training.dataset import Dataset, keys_of
from training.run import TrainingPlan, judge, save
from training.train import DEFAULTS

_WEEK = timedelta(days=7)
IDS = 1_000_000


def parts(dataset: Dataset, start: datetime, days: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows before the month, and of it."""
    begin = start.timestamp()
    times = np.asarray(dataset.times)
    return np.flatnonzero(times < begin), np.flatnonzero((times >= begin) & (times < begin + days * 86_400))


def trained(dataset: Dataset, start: datetime, hasher: KeyHasher) -> store.Served:
    """A small forest of the weeks before the month, saved."""
    end = start - _WEEK
    periods = ((start - 4 * _WEEK).timestamp(), end.timestamp()), (end.timestamp(), start.timestamp())
    recipe = DEFAULTS.model_copy(update={"trees": 20})
    plan = TrainingPlan(["the month before"], dataset.schema, "dates", periods, recipe, hasher=hasher)
    manifest = save(plan, dataset, judge(plan, dataset, Steps()))
    return store.open_served(store.get(f"fraud_detector:{manifest.model_version}"))


def others_of(dataset: Dataset) -> pd.DataFrame:
    """Ids and keys."""
    return pd.DataFrame() if dataset.others is None else dataset.others


def counted(states: States, dataset: Dataset, rows: NDArray[np.int64], *, labelled: bool) -> NDArray[np.float64]:
    """Histories of rows, offline, a piece at a time."""
    found = []
    keys = keys_of(others_of(dataset), dataset.schema)
    for piece in np.array_split(rows, max(1, len(rows) // 50_000)):
        own = {name: column[piece] for name, column in keys.items()}
        found.append(states.advance(dataset.rows[piece], own, dataset.labels[piece] if labelled else None))
    return np.vstack(found)


def opened(url: str, own: Schema, hasher: KeyHasher) -> AnyStore:
    """The service's store."""
    return open_store(layouts(own), hasher.fingerprint, Settings(history_url=url, history_max_ids=IDS))


def begun(url: str, own: Schema, hasher: KeyHasher, states: States, newest: int) -> None:
    """Put the states of all keys into the service's store."""
    held = opened(url, own, hasher)
    with held.gate.held(10):
        for number, keys, found in states.given():
            for low in range(0, len(keys), 256):
                some = slice(low, low + 256)
                held.begin(layouts(own)[number], [*map(bytes, keys[some])], [*map(bytes, found[some])], newest)
    held.close()


def differing_states(url: str, own: Schema, hasher: KeyHasher, states: States) -> dict[str, int]:
    """How many keys there are, of how many the store holds another state than the offline pass, and how many left it.

    A state leaves when nothing in it is within the windows any more.
    """
    store, given = opened(url, own, hasher), list(states.given())
    newest = max(int(found[:, 8:16].copy().view("<i8").max()) for _, _, found in given)
    total = differing = left = 0
    with store.gate.held(10):
        for number, keys, found in given:
            layout = layouts(own)[number]
            until = newest - layout.keep_us
            for one, other in zip(store.states(layout, [*map(bytes, keys)]), found, strict=True):
                is_old = int(other[8:16].view("<i8")[0]) < until
                total, left = total + 1, left + (is_old and not one)
                differing += one != bytes(other) and not (is_old and not one)
    store.close()
    return {"keys": total, "differing": differing, "left_for_age": left}
