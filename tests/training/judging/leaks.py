"""Whether a way of judging lets the rows that it holds out into what it judges them by.

``assert_no_leak(way, dataset)`` changes the labels and the values of held-out rows. Whatever was fitted for judging
them must not have seen these: the scores of the others stay equal to the bit, and of labels their own as well. So
resampling, scaling, encoding, choosing features or dropping duplicates before rows are held out is caught, whoever
does it. What moves no score is not seen.

A history may tell a row of earlier ones: a row whose own inputs changed may score otherwise. That it is told of nothing
else, and of labels not before ``label_delay``, is looked at too.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraud.replay.grouped import features_of
from training.dataset import Dataset, keys_of

FURTHEST = 1e9


class HeldOut(NamedTuple):
    """What a way of judging says: ``rows`` as numbers, ``part`` of each, ``scores`` ``(n,)``, or ``(n, k)`` of several.

    Rows of one part are held out together. Which these are must follow neither from labels nor from values that
    change: folds and splits that do are drawn before.
    """

    rows: NDArray[np.int64]
    part: NDArray[np.int64]
    scores: NDArray[np.float64]


Way = Callable[[Dataset], HeldOut]


def assert_no_leak(way: Way, dataset: Dataset) -> None:
    """Fail, with what moved, where something held out moves what must not know of it."""
    found = leaks(way, dataset)
    assert not found, "; ".join(found)


def leaks(way: Way, dataset: Dataset, seed: int = 0) -> list[str]:
    """What moves that must not, in words; nothing where nothing leaks."""
    before, random = way(dataset), np.random.default_rng(seed)
    found = []
    for part in np.unique(before.part):
        held = before.rows[before.part == part]
        touched = np.zeros(dataset.size, bool)
        touched[random.choice(held, max(1, len(held) // 2), replace=False)] = True
        for name, changed in _changes(dataset, held, touched, random):
            told = _told(dataset, changed)
            may_move = told | (touched if name != "labels" else False)
            found += _early(dataset, told & ~touched, touched, name)
            after = way(changed)
            if not (np.array_equal(after.rows, before.rows) and np.array_equal(after.part, before.part)):
                found.append(f"part {part}: other rows are held out when {name} of held-out rows change")
                continue
            judged = (before.part == part) & ~may_move[before.rows]
            assert judged.any(), "no row is left that must not move: give more rows, or more keys"
            moved = (before.scores[judged] != after.scores[judged]).reshape(judged.sum(), -1).any(axis=1).sum()
            if moved:
                found.append(f"part {part}: {moved} of {judged.sum()} scores move when {name} of held-out rows change")
    return found


def _changes(
    dataset: Dataset, held: NDArray[np.int64], touched: NDArray[np.bool_], random: np.random.Generator
) -> Iterator[tuple[str, Dataset]]:
    """The data with other labels, with values far out, and with values of rows that are not held out."""
    schema, wide = dataset.schema, len(dataset.schema.inputs)
    inputs, time = dataset.rows[:, :wide], schema.position(schema.roles.time)
    yield "labels", _again(dataset, inputs, np.where(touched, 1 - dataset.labels, dataset.labels).astype(np.int8))
    far, copies = inputs.copy(), inputs.copy()
    for place, name in enumerate(schema.inputs):
        if schema.columns[name].kind == "number" and place != time:
            edges = np.clip(schema.columns[name].bounds, -FURTHEST, FURTHEST)
            far[touched, place] = random.choice(edges, touched.sum())
    others = np.setdiff1d(np.arange(dataset.size), held)
    copies[touched] = inputs[random.choice(others, touched.sum())]
    if time is not None:
        copies[:, time] = inputs[:, time]
    yield "values (far out)", _again(dataset, far, dataset.labels)
    yield "values (those of other rows)", _again(dataset, copies, dataset.labels)


def _again(dataset: Dataset, inputs: NDArray[np.float64], labels: NDArray[np.int8]) -> Dataset:
    """The data set of other inputs and labels; histories are counted again."""
    rows, schema = inputs, dataset.schema
    if schema.history:
        rows = np.hstack([inputs, features_of(inputs, keys_of(dataset.others, schema), schema, labels)])
    return replace(dataset, rows=rows, labels=labels)


def _told(before: Dataset, after: Dataset) -> NDArray[np.bool_]:
    """Rows whose own inputs or histories are others now."""
    return ((before.rows != after.rows) & ~(np.isnan(before.rows) & np.isnan(after.rows))).any(axis=1)


def _early(dataset: Dataset, told: NDArray[np.bool_], touched: NDArray[np.bool_], name: str) -> list[str]:
    """Rows that histories tell of what was not known at their time."""
    if not told.any():
        return []
    delays = [one.delay for one in dataset.schema.history if one.delay is not None]
    known = dataset.times[touched].min() + (min(delays) if name == "labels" else 0)
    early = int((dataset.times[told] < known).sum())
    return [f"{early} rows know {name} of later ones"] if early else []
