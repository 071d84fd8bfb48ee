"""How the state of one key lies in memory: a ring of buckets for each window, whole numbers alone.

A state is ``size`` bytes, little-endian; all zero, it is that of a key that was never seen::

    int64 seen | int64 latest time, microseconds since 1970
    for each window: for each summed column int64 sums [ring]
    for each window: uint32 counts [ring] | uint32 frauds [ring], with a label delay
                     | for each summed column that may be missing uint32 counts of its values [ring]

The bucket of a time is ``time // width``, its place in the ring that modulo the ring's length. Where the newest bucket
stands follows from the latest time. So additions commute, and two states are of one key's transactions whoever added
them in whatever order.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Self, get_args

import numpy as np
from numpy.typing import NDArray

from fraud.history.declared import History, Made, Op, width_us

if TYPE_CHECKING:
    from fraud.schema import Schema

OPS: tuple[Op, ...] = get_args(Op)
"""In the order of their numbers in ``windows.c``."""
HEADER = 16
MICROSECONDS = 1_000_000
MOST = 10**12
"""Of a summed value, in its smallest unit: more counts as this much, so that 9 million of them are a sum of 64 bits."""
FURTHEST = 4 * 10**18
"""Of a time, in microseconds from 1970: one further away counts as this, so that differences are of 64 bits too."""
MISSING = -(2**63)
"""Of a summed value: there is none."""


@dataclass(frozen=True)
class Window:
    """Where a window's rings stand in a state, in bytes; ``width`` in microseconds."""

    width: int
    ring: int
    sums: tuple[int, ...]
    counts: int
    frauds: int
    """-1 without a label delay."""
    values: tuple[int, ...]
    """Of each summed column the ring of how many values there were: that of ``counts`` where none may be missing."""


@dataclass(frozen=True)
class Layout:
    """That of one ``[[history]]``."""

    declared: History
    scales: tuple[float, ...]
    """What the values of each summed column are multiplied with."""
    nullable: tuple[bool, ...]
    """Whether they may be missing."""

    @classmethod
    def of(cls, declared: History, schema: "Schema") -> Self:
        """That of a history of ``schema``."""
        columns = [schema.columns[name] for name in declared.columns]
        return cls(
            declared, tuple(10.0 ** (one.decimals or 0) for one in columns), tuple(one.missing for one in columns)
        )

    @property
    def made(self) -> tuple[Made, ...]:
        """Its features."""
        return self.declared.made

    @property
    def keep_us(self) -> int:
        """Microseconds after which a key's state says nothing any more: the longest ring."""
        return max(window.width * window.ring for window in self.windows)

    @property
    def cap_us(self) -> int:
        """The most that ``seconds_since_last`` says: the longest window."""
        return max(self.declared.spans) * MICROSECONDS

    @property
    def delay_us(self) -> int:
        """The label delay; -1 for none."""
        return -1 if self.declared.delay is None else self.declared.delay * MICROSECONDS

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """In the order in which they are declared."""
        return self._placed[0]

    @cached_property
    def size(self) -> int:
        """Bytes of a state."""
        return self._placed[1]

    @cached_property
    def fingerprint(self) -> str:
        """Tells whether states were made for the same layout: 16 hexadecimal digits."""
        facts = [self.declared.model_dump(exclude={"of"}), list(self.declared.columns), self.scales, self.nullable]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    @cached_property
    def table(self) -> NDArray[np.int64]:
        """All of it as the numbers that ``windows.c`` reads."""
        columns = self.declared.columns
        numbers = [self.size, len(self.windows), len(columns), len(self.made), self.declared.buckets]
        numbers += [self.delay_us, self.cap_us]
        for window in self.windows:
            numbers += [window.width, window.ring, window.counts, window.frauds, *window.sums, *window.values]
        for made in self.made:
            column = -1 if made.column is None else columns.index(made.column)
            numbers += [OPS.index(made.op), made.window, column]
        return np.array(numbers, dtype=np.int64)

    @cached_property
    def scale_table(self) -> NDArray[np.float64]:
        """``scales`` as ``windows.c`` reads them."""
        return np.array(self.scales or (1.0,), dtype=np.float64)

    @cached_property
    def _placed(self) -> tuple[tuple[Window, ...], int]:
        declared = self.declared
        rings = [declared.ring(length) for length in declared.spans]
        at, sums = HEADER, []
        for ring in rings:
            sums.append(tuple(at + 8 * ring * column for column in range(len(self.scales))))
            at += 8 * ring * len(self.scales)
        found = []
        for length, ring, own in zip(declared.spans, rings, sums, strict=True):
            places: Iterator[int] = count(at, 4 * ring)
            counts = next(places)
            frauds = -1 if declared.delay is None else next(places)
            values = tuple(next(places) if nullable else counts for nullable in self.nullable)
            at = next(places)
            found.append(Window(width_us(length, declared.buckets), ring, own, counts, frauds, values))
        return tuple(found), -(-at // 8) * 8


def layouts(schema: "Schema") -> tuple[Layout, ...]:
    """Those of a schema, in the order of its ``[[history]]``."""
    return tuple(Layout.of(declared, schema) for declared in schema.history)
