"""Which rows train a model and which judge it. No row, nor one with equal values, is ever on both sides.

The split decides the number: ``time`` judges on the latest rows, as production does; ``stratified`` is the classic
random 80/20 of the published figures, drawn by content rather than by position; ``dates`` takes named days.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fraud.errors import DataError
from fraud.inputs import times
from fraud.manifest import SplitFacts
from fraud.schema import Schema
from training.dataset import Dataset, row_hashes

Protocol = Literal["time", "stratified", "dates"]
Indices = NDArray[np.int64]

Period = tuple[float, float]
"""Seconds of the local clock: from, and before."""

TEST_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of a dataset, sorted, each on exactly one side."""

    protocol: Protocol
    seed: int
    test_share: float
    train: Indices
    test: Indices


def usual(schema: Schema) -> Protocol:
    """The protocol for who names none: by time, where the schema names one."""
    return "stratified" if schema.roles.time is None else "time"


def repeatable(schema: Schema) -> tuple[str, ...]:
    """The protocols that hold out rows of ``schema`` again by their name and a seed alone."""
    return ("stratified",) if schema.roles.time is None else ("stratified", "time")


def keys_of_labels(schema: Schema) -> tuple[str, ...]:
    """Keys whose histories tell rows the labels of earlier ones; of rows held out at random as well."""
    return tuple(one.key for one in schema.history if one.delay is not None)


def by_dates(dataset: Dataset, train: Period, test: Period) -> Split:
    """The rows of two periods; those of neither are left out. Raises DataError when a side has no rows or no fraud."""
    clock = _clock(dataset)
    sides = [np.flatnonzero((clock >= start) & (clock < end)) for start, end in (train, test)]
    parts = Split("dates", 0, len(sides[1]) / max(1, dataset.size), *sides)
    for name, side in (("training period", parts.train), ("test period", parts.test)):
        check_part(dataset, name, side, "dates")
    return parts


def _clock(dataset: Dataset) -> NDArray[np.float64]:
    """Local seconds of each row."""
    name = dataset.schema.roles.time
    if name is None or dataset.times is None:
        raise no_time(dataset.schema)
    return times.local(dataset.times, dataset.schema.columns[name].zone)


def tells_labels(keys: Sequence[str], remedy: str) -> DataError:
    """Histories of these keys know what the labels of earlier rows were: no row may be held out among them."""
    told = f"the histories of {', '.join(keys)} tell rows the labels of earlier ones, which may be those held out"
    return DataError(f"{told}: {remedy}")


def no_time(schema: Schema) -> DataError:
    """What was asked for needs a time."""
    return DataError(f"the schema {schema.name} names no time: use --split stratified")


def split(dataset: Dataset, protocol: Protocol = "time", test_share: float = TEST_SHARE, seed: int = 0) -> Split:
    """Divide ``dataset`` into a training and a test side.

    ``time``: the latest rows are the test side; rows of one time stay together, so every test row is later
    than every training row. ``stratified``: a seeded hash of a row's values decides, not its label or position;
    so a held-out row stays held out as data grows, and rows of equal values stay together. The share is then met
    on average, for each class alike. Raises DataError when a side would have no rows or no fraud.
    """
    _check_share(test_share)
    everything = np.arange(dataset.size, dtype=np.int64)
    if protocol == "time":
        test = later_part(dataset, everything, test_share)
    else:
        test = everything[row_hashes(dataset.content, seed, "split") < _limit(test_share)]
    parts = Split(protocol, seed, test_share, np.setdiff1d(everything, test, assume_unique=True), test)
    for name, side in (("training side", parts.train), ("test side", parts.test)):
        check_part(dataset, name, side, protocol)
    return parts


def later_part(dataset: Dataset, indices: Indices, share: float) -> Indices:
    """The later ``share`` of ``indices``, sorted; rows at the boundary's time all belong to it.

    Raises DataError when nothing would be earlier.
    """
    _check_share(share)
    if dataset.times is None:
        raise no_time(dataset.schema)
    moments, name = dataset.times[indices], dataset.schema.roles.time
    if not len(moments):
        raise DataError.too_little(f"there are no rows to divide by {name}")
    position = min(round(len(moments) * (1 - share)), len(moments) - 1)
    boundary = np.partition(moments, position)[position]
    if boundary == moments.min():
        raise DataError.too_little(f"no row is earlier than {name} {boundary:g}, where the later part starts")
    return np.sort(indices[moments >= boundary])


def folds(dataset: Dataset, train: Indices, k: int = 5, seed: int = 0) -> NDArray[np.int64]:
    """Fold number 0..k-1 of each row of ``train``, for scores that no tree has seen in training.

    Rows are dealt out in the order of a seeded hash of their values, frauds and others apart, so the folds are as
    even in either class as can be; rows of equal values share a fold, whatever their labels. Raises DataError with
    fewer than k frauds.
    """
    hashes = row_hashes(dataset.content[train], seed, "folds")
    unique, group = np.unique(hashes, return_inverse=True)
    is_fraud = np.bincount(group, weights=dataset.labels[train], minlength=len(unique)) > 0
    if is_fraud.sum() < k:
        raise DataError.too_little(f"{is_fraud.sum()} frauds cannot be spread over {k} folds")
    numbers = np.empty(len(unique), dtype=np.int64)
    for members in (is_fraud, ~is_fraud):
        numbers[members] = np.arange(members.sum()) % k
    return numbers[group]


def no_fraud(part: str, rows: int, whole: str, remedy: str) -> DataError:
    """The error of data that was cut so that a part has no fraud in it; ``whole`` says what was cut."""
    return DataError(f"{part} would have {rows} rows and no fraud (of {whole}); {remedy}")


def _limit(share: float) -> np.uint64:
    return np.uint64(int(share * 2**64))


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise DataError(f"the share held out must lie between 0 and 1, got {share}")


def check_part(dataset: Dataset, name: str, part: Indices, protocol: Protocol) -> None:
    """Raise DataError unless there is a fraud among the rows of a part, without which nothing is fitted or judged."""
    if not dataset.labels[part].any():
        place, whole = f"the {name} of the {protocol} split", f"{dataset.size} rows and {dataset.frauds} frauds"
        remedy = "give more data" + (", or try --split stratified" if protocol == "time" else "")
        raise no_fraud(place, len(part), whole, remedy)


def facts(parts: Split, dataset: Dataset) -> SplitFacts:
    """What a manifest says of a split."""
    return SplitFacts(
        protocol=parts.protocol,
        seed=parts.seed,
        test_share=parts.test_share,
        train_rows=len(parts.train),
        train_frauds=int(dataset.labels[parts.train].sum()),
        test_rows=len(parts.test),
        test_frauds=int(dataset.labels[parts.test].sum()),
    )
