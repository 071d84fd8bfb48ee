"""New data, replayed: a data set becomes a base and increments that arrive later, all below ``dataset/`` in S3.

A retraining loop can then be tried on known data: train on the base, add the increments one by one, retrain.
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fraud.errors import RegistryError
from fraud.inputs.keys import KeyHasher
from fraud.remote import datasets, s3
from fraud.remote.datasets import BASE, NEW
from fraud.schema import Schema, default
from fraud.tables import keys
from training.console import Steps
from training.data import SYNTHETIC, load_telling
from training.dataset import Dataset
from training.split import Indices, Protocol, no_fraud, split

# Seeds of run and retrain are below this. A stratified base cut with the very seed of a later stratified split would
# hold none of that split's test rows.
_SEEDS_APART = 2**32


@dataclass(frozen=True)
class SimulationPlan:
    """What to simulate."""

    sources: list[str]
    schema: Schema = field(default_factory=default)
    protocol: Protocol = "stratified"
    slices: int = 1
    seed: int = 0
    hasher: KeyHasher | None = None
    """What keys are hashed with; without it data that holds some is refused."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Row numbers of a dataset: those of the base, and those of each increment in time order."""

    base: Indices
    increments: tuple[Indices, ...]


def simulate(uri: str, plan: SimulationPlan, steps: Steps, *, replace: bool = False) -> dict[str, Any]:
    """Cut the data of ``plan`` and put it below ``dataset/``; what was put there.

    Raises RegistryError when a base or an increment is there already, unless ``replace``, which removes them first;
    DataError when the data is unusable, holds keys without a secret to hash them with, or cannot be cut so.
    """
    folder = s3.join(uri, datasets.FOLDER, "")
    earlier = _simulation_objects(folder)
    if earlier and not replace:
        raise RegistryError.there_already(earlier[0], "--replace removes it and every increment first")
    dataset = load_telling(plan.sources, plan.schema, steps, plan.hasher)
    if dataset.others is not None and (plain := keys.plain(dataset.others, plan.schema)):
        raise keys.not_kept(plain, ", ".join(plan.sources))
    parts = cut(dataset, plan.protocol, plan.slices, plan.seed)
    if earlier:
        steps.start("remove", f"Removing {len(earlier)} objects of the simulation before")
        datasets.remove(earlier)
        steps.done("gone")
    steps.start("upload", f"Uploading a base and {plan.slices} increments to {folder}")
    base = _put(uri, BASE, dataset, parts.base, plan.hasher)
    names = [f"{NEW}{number:04d}.parquet" for number in range(1, plan.slices + 1)]
    new = [_put(uri, name, dataset, rows, plan.hasher) for name, rows in zip(names, parts.increments, strict=True)]
    steps.done("each checked, its checksum beside it")
    _warn_of_others(folder, steps)
    chosen = {"split": plan.protocol, "seed": plan.seed, "synthetic": dataset.synthetic}
    return {**chosen, "base": base, "increments": new}


def cut(dataset: Dataset, protocol: Protocol, slices: int, seed: int) -> Parts:
    """The training side of the split is the base; the test side, in time order, is cut into increments of equal size.

    Raises DataError when a side or an increment would have no fraud.
    """
    sides = split(dataset, protocol, seed=seed + _SEEDS_APART)
    increments = np.array_split(sides.test, slices)  # rows of a dataset are in time order
    for number, rows in enumerate(increments, start=1):
        if not dataset.labels[rows].any():
            whole = f"{len(sides.test)} rows and {int(dataset.labels[sides.test].sum())} frauds of new data"
            raise no_fraud(f"increment {number} of {slices}", len(rows), whole, "ask for fewer slices")
    return Parts(sides.train, tuple(increments))


def _simulation_objects(folder: str) -> list[str]:
    """The base and the increments that are there; the base first."""
    return s3.keys(f"{folder}{BASE}") + s3.keys(f"{folder}{NEW}")


def _put(uri: str, name: str, dataset: Dataset, indices: Indices, hasher: KeyHasher | None) -> dict[str, Any]:
    frame = dataset.frame(indices)
    if dataset.synthetic:
        frame.attrs[SYNTHETIC] = True
    with tempfile.TemporaryDirectory(prefix="fraud-simulate-") as folder:
        path = Path(folder) / "part.parquet"
        frame.to_parquet(path, index=False)
        pushed = datasets.push(uri, path, dataset.schema, name, hasher)
    span = {}
    if dataset.times is not None:
        moments = dataset.times[indices]
        span = {"from_time": float(moments.min()), "to_time": float(moments.max())}
    return {**pushed, "frauds": int(dataset.labels[indices].sum()), **span}


def _warn_of_others(folder: str, steps: Steps) -> None:
    """Retraining reads all of ``dataset/``: a file left there beside the base would bring its new rows in early."""
    ours = set(_simulation_objects(folder))
    others = [key for key in s3.keys(folder) if key not in ours and not key.endswith(("/", datasets.SUM))]
    if others:
        steps.warn(f"{', '.join(others)} is data too: retraining reads everything below {folder}")
