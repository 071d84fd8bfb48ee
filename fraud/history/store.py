"""What keys did before, kept on this machine for all workers: files of states and ids, changed through a journal.

Whoever has the gate (``files.gate``) may touch them, and nobody else. A worker that is killed at any moment
leaves each batch added whole or not at all; what a crash of the machine tore is found by its checksum, and begins anew.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fraud.errors import HistoryError
from fraud.history import engine
from fraud.history.batch import Batch
from fraud.history.files.at_once import AtOnce
from fraud.history.files.filesystem import can_be_mapped
from fraud.history.files.folder import Opening, folder_of
from fraud.history.files.gate import Gate
from fraud.history.files.ids import kind_of
from fraud.history.files.journal import Change
from fraud.history.files.opened import OpenFiles
from fraud.history.files.place import LIMITS, Limits
from fraud.history.labels import CHANGED, Labels, Marks, Outcome
from fraud.history.layout import Layout
from fraud.schema import Schema


class Store(OpenFiles):
    """An open store. All but ``gate``, ``parts`` and ``sync`` are for who has the gate.

    A DamagedHistoryError of any method: close this one and open another, which mends what can be mended.
    """

    def __init__(self, gate: Gate, opening: Opening, layouts: Sequence[Layout], limits: Limits) -> None:
        super().__init__(gate, opening, layouts, limits)
        self._layouts = [(self._slots[one.fingerprint], engine.bound(one), bytes(one.size)) for one in layouts]
        self._names = [one.declared.key for one in layouts]
        ends = np.cumsum([len(one.made) for one in layouts])
        self._cuts = [slice(int(end) - len(one.made), int(end)) for end, one in zip(ends, layouts, strict=True)]
        self.width = int(ends[-1])
        self.ids = opening.ids(kind_of(layouts), 8 * self.width, limits.ids)
        self._labels = Labels(opening, layouts, self._slots, limits.ids)
        self._remember(self.ids, *self._labels.ids)
        self._said: Marks = {}
        self._at_once: AtOnce | None = None
        self.is_quick = can_be_mapped(opening.folder)
        """Whether usual batches can be added by one call."""
        self.added = 0
        """Transactions that ``add`` added; those whose ids were known are none of them."""
        self.outcomes = list[Outcome]()
        """What became of each label of the last call of ``label``."""

    @classmethod
    def open(
        cls,
        url: str,
        layouts: Sequence[Layout],
        key_fingerprint: str,
        limits: Limits = LIMITS,
        wait_seconds: float = 10.0,
    ) -> Self:
        """Open the store at ``url`` (``fraud.history.files.folder``), or begin one.

        ``key_fingerprint``: of the secret that keys are hashed with. Raises HistoryError where it cannot be used: on a
        network file system, of another secret, held by another for ``wait_seconds``, not writable.
        """
        folder = folder_of(url)
        try:
            with ExitStack() as unfinished:
                gate = Gate(folder)
                unfinished.callback(gate.close)
                with gate.held(wait_seconds):
                    opening = Opening(folder, key_fingerprint)
                    unfinished.callback(opening.close)
                    store = cls(gate, opening, layouts, limits)
                unfinished.pop_all()
                return store
        except OSError as error:
            raise HistoryError.not_writable(folder, error) from None

    def add(self, batch: Batch) -> NDArray[np.float64]:
        """Add transactions, and say what their windows hold then: float64 ``(n, width)``.

        An id that is known adds nothing and gets the features that it got first; so does one that is in the batch
        twice. Raises HistoryError where nothing was added.
        """
        with self._watched():
            self.journal.begin()
            features = np.empty((len(batch.times), self.width))
            rows, hashes, repeated = self.ids.new(batch.names, features)
            if rows:
                new = batch if len(rows) == len(batch.times) else batch.only(rows)
                own, changes = self._advance(new)
                features[rows] = own
                named = [place for place, one in enumerate(hashes) if one]
                if named:
                    kept = own if len(named) == len(rows) else own[named]
                    changes += self.ids.put([hashes[place] for place in named], [one.tobytes() for one in kept])
                self._commit(changes, max(self.journal.newest, int(new.times.max())))
                self.added += len(rows)
            for row, first in repeated:
                features[row] = features[first]
            return features

    def label(self, batch: Batch, frauds: Sequence[bool]) -> int:
        """Say which transactions, whose values are of no matter, were fraud; how many labels changed something.

        A label counts once, however often it is given; one that is given otherwise later is taken back.
        """
        with self._watched():
            self.journal.begin()
            changes, self.outcomes = self._labels.apply(batch, frauds)
            self._commit(changes, self.journal.newest)
            return sum(one in CHANGED for one in self.outcomes)

    def labels(self) -> Marks:
        """How far they are applied."""
        self._said = self._labels.marks()
        return self._said

    def note_labels(self, marks: Marks, *, unchanged: bool = False) -> bool:
        """Have ``labels`` say so; ``unchanged``: if it would say what it said last. Whether it does. Raises
        HistoryError."""
        if unchanged and self._labels.marks() != self._said:
            return False
        self._labels.note(marks)
        self._said = marks
        return True

    def at_once(self, schema: Schema) -> AtOnce | None:
        """What adds usual batches of ``schema``, whose layouts these are, by one call; None where that cannot be."""
        if self._at_once is None and self.is_quick:
            self.is_quick = False  # unless it is done now: there may be no room for it in memory
            self._at_once = AtOnce(schema, [one for one, *_ in self._layouts], self.ids, self.journal)
            self.is_quick = True
        return self._at_once

    def _advance(self, batch: Batch) -> tuple[NDArray[np.float64], list[Change]]:
        found, changes = np.empty((len(batch.times), self.width)), list[Change]()
        parts = zip(self._layouts, self._cuts, batch.keys, batch.values, strict=True)
        for (slots, advance, empty), cut, keys, values in parts:
            order = dict[bytes, int]()
            place = np.array([-1 if key is None else order.setdefault(key, len(order)) for key in keys], np.int64)
            where, states = slots.read(list(order))
            buffer = bytearray(b"".join([state or empty for state in states]))
            found[:, cut] = advance(buffer, place, batch.times, values)
            changes += slots.put(list(order), where, buffer)
        return found, changes

    def keys(self) -> dict[str, int]:
        """How many slots of each layout of the model were ever used, by the column of its keys."""
        found = Counter[str]()
        for name, (slots, *_) in zip(self._names, self._layouts, strict=True):
            found[name] += slots.counts()[0]
        return found

    def _let_go(self) -> None:
        if self._at_once is not None:
            self._at_once.close()
