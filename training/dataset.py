"""Labelled transactions as they are trained on: one array, each transaction once, in time order."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fraud.errors import DataError
from fraud.inputs.levels import Levels, content
from fraud.replay import grouped
from fraud.schema import Schema
from fraud.tables import kinds, table


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled transactions of one schema, in time order where they have times, each once; the arrays are read-only."""

    schema: Schema
    rows: NDArray[np.float64]
    """``(n, inputs)``, see ``fraud.inputs.levels``; the histories, counted over all rows, behind the inputs."""
    levels: Levels
    labels: NDArray[np.int8]
    """``(n,)``, 1 for fraud."""
    sources: tuple[str, ...]
    duplicates_dropped: int
    synthetic: bool
    """Whether any of the rows comes from the generator."""
    notes: tuple[str, ...] = ()
    """What there is to say of the sources: their layout, and how their times fit together."""
    others: pd.DataFrame | None = None
    """Of each row what no model sees: its id, its keys, and what is ignored, as texts."""

    @property
    def size(self) -> int:
        """Number of transactions."""
        return len(self.labels)

    @property
    def frauds(self) -> int:
        """Number of transactions labelled fraud."""
        return int(self.labels.sum())

    @cached_property
    def content(self) -> NDArray[np.float64]:
        """The rows as hashes are made of them: equal transactions are equal in every data set."""
        return content(self.rows, self.schema, self.levels)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over rows and labels, in order: the same data always has the same one."""
        digest = hashlib.sha256(self.content.astype("<f8", copy=False).tobytes())
        digest.update(self.labels.tobytes())
        return digest.hexdigest()

    @property
    def times(self) -> NDArray[np.float64] | None:
        """Seconds, ``(n,)``; None where the schema names no time."""
        place = self.schema.position(self.schema.roles.time)
        return None if place is None else self.rows[:, place]

    @property
    def amounts(self) -> NDArray[np.float64] | None:
        """In the account's currency, ``(n,)``, 0 where one is missing; None where the schema names no amount."""
        place = self.schema.position(self.schema.roles.amount)
        return None if place is None else np.nan_to_num(self.rows[:, place])

    def frame(self, indices: NDArray[np.int64]) -> pd.DataFrame:
        """Rows as a table that ``load`` reads again: times as timestamps where they have a zone or a form of text."""
        columns: dict[str, object] = {}
        for place, name in enumerate(self.schema.inputs):
            values, column = self.rows[indices, place], self.schema.columns[name]
            if column.kind == "category":
                known = np.array([*self.levels[name], None], dtype=object)
                columns[name] = known[np.where(np.isnan(values), len(known) - 1, values).astype(np.int64)]
            else:
                columns[name] = kinds.written(values, column)
        columns[str(self.schema.roles.label)] = kinds.written_labels(self.labels[indices], self.schema.roles.fraud)
        if self.others is not None:
            columns |= {str(name): self.others[name].to_numpy()[indices] for name in self.others}
        return pd.DataFrame(columns)


def combine(
    frames: Sequence[pd.DataFrame],
    sources: Sequence[str],
    schema: Schema,
    *,
    synthetic: bool,
    notes: tuple[str, ...] = (),
) -> Dataset:
    """Concatenate checked, labelled frames, in time order where there is a time, and drop duplicates.

    Rows with an id are the same where that is, and the last given holds; others where every column is, label included,
    unless there are histories: of two equal payments each took place. Rows of one time keep the order in which they
    were given. Raises DataError unless both classes occur.
    """
    label, time, own = str(schema.roles.label), schema.roles.time, schema.roles.id
    together = pd.concat(frames, ignore_index=True)
    named = together[own].notna() if own in together else pd.Series(False, index=together.index)
    repeated = together.drop(columns=own or [], errors="ignore").duplicated() & (not schema.history)
    if own is not None and named.any():
        repeated = repeated.where(~named, together.duplicated(own, keep="last"))
    unique = together[~repeated]
    if time is not None:
        unique = unique.sort_values(time, kind="stable")
    levels = table.levels_of(unique, schema)
    rows = table.rows(unique, schema, levels)
    labels = unique[label].to_numpy(np.int8, copy=True)
    dropped = len(together) - len(unique)
    others = unique.drop(columns=[*schema.inputs, label]).reset_index(drop=True)
    if schema.history:
        rows = np.hstack([rows, grouped.features_of(rows, keys_of(others, schema), schema, labels)])
    rows = np.ascontiguousarray(rows)
    return _dataset(Dataset(schema, rows, levels, labels, tuple(sources), dropped, synthetic, notes, others))


def keys_of(others: pd.DataFrame, schema: Schema) -> dict[str, NDArray[Any]]:
    """Of each column whose history is kept the hashes, None where there is no key."""
    nobody = pd.Series(None, others.index, dtype=object)
    return {one.key: others.get(one.key, nobody).to_numpy(object) for one in schema.history}


def select(dataset: Dataset, kept: NDArray[np.bool_]) -> Dataset:
    """The rows of a data set that are ``kept``. Raises DataError unless both classes occur among them."""
    if not kept.any():
        raise DataError.too_little(f"no row of {', '.join(dataset.sources)} is left")
    others = None if dataset.others is None else dataset.others[kept].reset_index(drop=True)
    return _dataset(replace(dataset, rows=dataset.rows[kept], labels=dataset.labels[kept], others=others))


def _dataset(dataset: Dataset) -> Dataset:
    for value, name in ((1, "fraud"), (0, "legitimate")):
        if value not in dataset.labels:
            label = dataset.schema.roles.label
            raise DataError(f"no row is labelled {name} ({label}) in {', '.join(dataset.sources)}: need both")
    dataset.rows.flags.writeable = dataset.labels.flags.writeable = False
    return dataset


def row_hashes(rows: NDArray[np.float64], seed: int = 0, purpose: str = "") -> NDArray[np.uint64]:
    """A 64-bit hash of each row's content, the same on every machine: BLAKE2b of the little-endian float64s.

    ``rows`` is ``(n, k)``; -0.0 counts as 0.0. Another ``seed`` (below 2**64) or ``purpose`` (up to 16 ASCII
    characters) gives unrelated hashes.
    """
    width = rows.shape[1] * 8
    content = memoryview((rows + 0.0).astype("<f8").tobytes())
    start = hashlib.blake2b(digest_size=8, salt=seed.to_bytes(8, "little"), person=purpose.encode("ascii"))
    digests = bytearray()
    for offset in range(0, len(content), width):
        row = start.copy()
        row.update(content[offset : offset + width])
        digests += row.digest()
    return np.frombuffer(bytes(digests), dtype="<u8").astype(np.uint64)
