"""Labels in the states of keys: a fraud is counted in the bucket of its transaction's time, once, and taken back.

Which label was applied is remembered by the transaction's id, of each layout apart, and changes with the states in one
commit: whoever applies it again changes nothing. Only frauds are remembered, for all others count nothing.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from struct import Struct
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from fraud.atomic import replacing
from fraud.errors import HistoryError
from fraud.history.amounts import times_of
from fraud.history.batch import Batch
from fraud.history.files.folder import Opening
from fraud.history.files.ids import Ids
from fraud.history.files.journal import Change
from fraud.history.files.slots import Slots
from fraud.history.keys import bytes_of
from fraud.history.layout import Layout
from fraud.rows import Texts
from fraud.schema import Schema

Outcome = Literal["applied", "taken_back", "unchanged", "late", "unknown"]
"""What became of a label. ``late``: no window has the bucket any more. ``unknown``: the state of its key does not hold
the transaction, or not yet."""
CHANGED: tuple[Outcome, ...] = ("applied", "taken_back")
_FIRST: tuple[Outcome, ...] = (*CHANGED, "unchanged", "late", "unknown")
"""Of what several histories say: the first that one of them does."""
OVERLAP_SECONDS = 600.0
"""Labels are read again from so long before: a file of them is there later than the time that they were given."""


class Mark(NamedTuple):
    """How far labels are applied to the states of a layout, in seconds since 1970: those given ``until`` then.

    ``floor``: those given before are in the states already, and no memory of them came along: they are never applied.
    """

    until: float = 0.0
    floor: float = 0.0

    @classmethod
    def of_state(cls, until: float, before: Self) -> Self:
        """Where states came that hold labels until then, to those that were as far as ``before``."""
        floor = max(until, before.floor)
        return cls(floor, floor)

    @property
    def start(self) -> float:
        """From when on labels are read again: some reach the database later than the time that they were given."""
        return max(self.until - OVERLAP_SECONDS, self.floor)

    def moved(self, until: float) -> Self:
        """When those until then are applied, too."""
        return self._replace(until=max(self.until, until))

    def at_most(self, now: float) -> Self:
        """Where a clock was ahead."""
        return self._replace(until=min(self.until, now), floor=min(self.floor, now))

    @property
    def text(self) -> str:
        """As it is kept."""
        return f"{self.until!r} {self.floor!r}"

    @classmethod
    def read(cls, text: str) -> Self:
        """The mark of a text; none was ever set where it is no such text."""
        try:
            until, floor = map(float, text.split())
        except ValueError:
            return cls()
        return cls(until, floor)


Marks = Mapping[str, Mark]
"""Of each layout with a label delay, by its fingerprint."""
_COUNT, _TIMES = Struct("<I"), Struct("<qq")
_WIDTH = 8


class _Part(NamedTuple):
    """One layout with a label delay: ``place`` among all, and ``note``, the file that says until when."""

    place: int
    layout: Layout
    slots: Slots
    ids: Ids
    note: Path


class Labels:
    """Of the layouts of an open store that have a label delay; ``most`` frauds are remembered of each."""

    def __init__(self, opening: Opening, layouts: Sequence[Layout], slots: Mapping[str, Slots], most: int) -> None:
        self._parts = [
            _Part(
                place,
                one,
                slots[one.fingerprint],
                opening.ids(_kind(one), _WIDTH, most),
                opening.folder / f"labels-{one.fingerprint}",
            )
            for place, one in enumerate(layouts)
            if one.delay_us >= 0
        ]
        self.ids = [one.ids for one in self._parts]

    def apply(self, batch: Batch, frauds: Sequence[bool]) -> tuple[list[Change], list[Outcome]]:
        """The changes after which the labels are applied, and what became of each."""
        changes = list[Change]()
        said: list[set[Outcome]] = [set() for _ in frauds]
        for part in self._parts:
            changes += _apply(part, batch, frauds, said)
        return changes, [first_of(own) for own in said]

    def marks(self) -> Marks:
        """How far each is."""
        return {one.layout.fingerprint: _read(one.note) for one in self._parts}

    def note(self, marks: Marks) -> None:
        """Remember it. Raises HistoryError."""
        for one in self._parts:
            try:
                with replacing(one.note) as part:
                    part.touch(mode=0o600)
                    part.write_text(f"{marks[one.layout.fingerprint].text}\n")
            except OSError as problem:
                raise HistoryError.not_writable(one.note, problem) from None


def first_of(said: Collection[str]) -> Outcome:
    """What became of a label of which several histories say something."""
    return next((one for one in _FIRST if one in said), "unchanged")


def reader(
    schema: Schema, layouts: Sequence[Layout], time: str
) -> Callable[[NDArray[np.float64], Sequence[Texts], Sequence[str]], Batch] | None:
    """What makes a batch to be labelled of rows ``(n, inputs)`` of any schema, their texts and ids; without values.

    None where it lacks the key of a layout with a label delay, or its time is not the column ``time``.
    """
    there = schema.of_kind("category", "key")
    wanted = {one.declared.key for one in layouts if one.delay_us >= 0}
    if schema.roles.time != time or not wanted <= set(schema.of_kind("key")):
        return None
    places = [there.index(one.declared.key) if one.delay_us >= 0 else None for one in layouts]

    def read(rows: NDArray[np.float64], texts: Sequence[Texts], names: Sequence[str]) -> Batch:
        keys = [
            [None if place is None or not (key := own[place]) else bytes_of(key) for own in texts] for place in places
        ]
        return Batch(names, times_of(rows, schema), keys, [np.empty((len(rows), 0), np.int64) for _ in layouts])

    return read


def _apply(part: _Part, batch: Batch, frauds: Sequence[bool], said: Sequence[set[Outcome]]) -> list[Change]:
    keys, ids = batch.keys[part.place], part.ids
    hashes = [ids.hashed(name) if name else b"" for name in batch.names]
    told = {one: int.from_bytes(ids.known(one) or b"", "little") for one in dict.fromkeys(hashes) if one}
    before = dict(told)
    to_do = [
        (row, keys[row], hashes[row])
        for row, fraud in enumerate(frauds)
        if keys[row] and hashes[row] and (fraud or told[hashes[row]])
    ]
    distinct = list(dict.fromkeys(key for _, key, _ in to_do if key))
    where, found = part.slots.read(distinct)
    states = {key: bytearray(state) for key, state in zip(distinct, found, strict=True)}
    touched = dict[bytes, int]()
    for row, key, one in to_do:
        difference = int(frauds[row]) - told[one]
        if not key or not difference:
            said[row].add("unchanged")
            continue
        outcome = _count(part.layout, states[key], int(batch.times[row]), difference)
        said[row].add(outcome)
        if outcome in CHANGED:
            touched[key] = where[distinct.index(key)]
        if outcome != "unknown" or difference < 0:
            told[one] += difference
    changed = [one for one, label in told.items() if label != before[one]]
    remembered = ids.put(changed, [told[one].to_bytes(_WIDTH, "little") for one in changed])
    after = b"".join([states[key] for key in touched])
    return [*part.slots.put(list(touched), list(touched.values()), after), *remembered]


def _count(layout: Layout, state: bytearray, time: int, difference: int) -> Outcome:
    """Change the frauds of a state, where each window that has the bucket still holds such a transaction in it."""
    seen, latest = _TIMES.unpack_from(state) if state else (0, 0)
    if not seen:
        return "unknown"
    changed = list[tuple[int, int]]()
    for window in layout.windows:
        number, newest = time // window.width, latest // window.width
        if number <= newest - window.ring:
            continue
        at = 4 * (number % window.ring)
        frauds = _COUNT.unpack_from(state, window.frauds + at)[0] + difference
        if number > newest or not 0 <= frauds <= _COUNT.unpack_from(state, window.counts + at)[0]:
            return "unknown"
        changed.append((window.frauds + at, frauds))
    for place, frauds in changed:
        _COUNT.pack_into(state, place, frauds)
    return "late" if not changed else "applied" if difference > 0 else "taken_back"


def _kind(layout: Layout) -> str:
    """Of the ids whose labels were applied to states of a layout: 16 hexadecimal digits."""
    return sha256(f"labels {layout.fingerprint}".encode()).hexdigest()[:16]


def _read(path: Path) -> Mark:
    with suppress(OSError, ValueError):
        return Mark.read(path.read_text())
    return Mark()
