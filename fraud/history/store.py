"""What keys did before, kept on this machine for all workers: files of states and ids, changed through a journal.

Whoever has the gate (``files.gate``) may touch them, and nobody else. A worker that is killed at any moment
leaves each batch added whole or not at all; what a crash of the machine tore is found by its checksum, and begins anew.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fraud.errors import DamagedHistoryError, HistoryError
from fraud.history import engine
from fraud.history.batch import Batch
from fraud.history.files.at_once import AtOnce
from fraud.history.files.filesystem import can_be_mapped
from fraud.history.files.folder import Opening, folder_of
from fraud.history.files.gate import Gate
from fraud.history.files.ids import kind_of
from fraud.history.files.journal import Change
from fraud.history.files.place import LIMITS, Limits
from fraud.history.files.slots import Slots
from fraud.history.layout import Layout
from fraud.schema import Schema

_WAIT_SECONDS = 10.0


class Store:
    """An open store. All but ``gate`` and ``sync`` are for who has the gate.

    A DamagedHistoryError of any method: close this one and open another, which mends what can be mended.
    """

    def __init__(self, gate: Gate, opening: Opening, layouts: Sequence[Layout], limits: Limits) -> None:
        self.gate = gate
        self.said = opening.said
        """Lines about what was found when it was opened: for the log."""
        self._folder, self._opening, self._limits = opening.folder, opening, limits
        self._slots = {one.fingerprint: opening.slots(one, limits.keys) for one in layouts}
        self._layouts = [(self._slots[one.fingerprint], engine.bound(one), bytes(one.size)) for one in layouts]
        self._names = [one.declared.key for one in layouts]
        ends = np.cumsum([len(one.made) for one in layouts])
        self._cuts = [slice(int(end) - len(one.made), int(end)) for end, one in zip(ends, layouts, strict=True)]
        self.width = int(ends[-1])
        self.ids = opening.ids(kind_of(layouts), 8 * self.width, limits.ids)
        if self.ids.replaced or any(one.replaced for one in self._slots.values()):
            opening.renew()
        self.journal = opening.journal
        self._at_once: AtOnce | None = None
        self.is_quick = can_be_mapped(opening.folder)
        """Whether usual batches can be added by one call."""
        self.added = 0
        """Transactions that ``add`` added; those whose ids were known are none of them."""
        self._damaged_told = 0

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
            rows, hashes, repeated = self._new(batch, features)
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

    def at_once(self, schema: Schema) -> AtOnce | None:
        """What adds usual batches of ``schema``, whose layouts these are, by one call; None where that cannot be."""
        if self._at_once is None and self.is_quick:
            self.is_quick = False  # unless it is done now: there may be no room for it in memory
            self._at_once = AtOnce(schema, [one for one, *_ in self._layouts], self.ids, self.journal)
            self.is_quick = True
        return self._at_once

    def _new(self, batch: Batch, features: NDArray[np.float64]) -> tuple[list[int], list[bytes], list[tuple[int, int]]]:
        """Rows that are to be added and the hashes of their ids; fills in the features of those that are known."""
        rows, hashes, repeated = list[int](), list[bytes](), list[tuple[int, int]]()
        first = dict[str, int]()
        for row, name in enumerate(batch.names):
            if not name:
                rows.append(row)
                hashes.append(b"")
            elif (before := first.setdefault(name, row)) != row:
                repeated.append((row, before))
            else:
                one = self.ids.hashed(name)
                if (known := self.ids.known(one)) is None:
                    rows.append(row)
                    hashes.append(one)
                else:
                    features[row] = np.frombuffer(known, "<f8")
        return rows, hashes, repeated

    def _advance(self, batch: Batch) -> tuple[NDArray[np.float64], list[Change]]:
        found, changes = np.empty((len(batch.times), self.width)), list[Change]()
        parts = zip(self._layouts, self._cuts, batch.keys, batch.values, strict=True)
        for (slots, advance, empty), cut, keys, values in parts:
            order = dict[bytes, int]()
            place = np.array([-1 if key is None else order.setdefault(key, len(order)) for key in keys], np.int64)
            distinct = list(order)
            where, states = slots.read(distinct)
            buffer = bytearray(b"".join([state or empty for state in states]))
            found[:, cut] = advance(buffer, place, batch.times, values)
            changes += slots.put(distinct, where, buffer)
        return found, changes

    def _commit(self, changes: list[Change], newest: int) -> None:
        try:
            self.journal.commit(changes, newest)
        except OSError as problem:  # the journal holds them: whoever comes next goes on, or says that it cannot
            self.said.append(f"{self._folder}: changes wait in the journal ({problem.strerror or problem})")

    def states(self, layout: Layout, keys: Sequence[bytes]) -> list[bytes]:
        """The states of keys, no bytes for one that was never seen."""
        with self._watched():
            self.journal.begin()
            return [state if any(state[:8]) else b"" for state in self._slots[layout.fingerprint].read(keys)[1]]

    def put(self, layout: Layout, keys: Sequence[bytes], states: Sequence[bytes], newest: int) -> None:
        """Replace the states of different keys, some hundreds at a time; ``newest``: the latest time in them."""
        with self._watched():
            self.journal.begin()
            slots = self._slots[layout.fingerprint]
            where, _ = slots.read(keys)
            self._commit(slots.put(keys, where, b"".join(states)), max(self.journal.newest, newest))

    def begin(self, layout: Layout, keys: Sequence[bytes], states: Sequence[bytes], newest: int) -> int:
        """Put the states of keys that have none, some hundreds at a time; how many had none."""
        new = dict[bytes, bytes]()
        for key, state, known in zip(keys, states, self.states(layout, keys), strict=True):
            if not known:
                new.setdefault(key, state)
        if new:
            self.put(layout, list(new), list(new.values()), newest)
        return len(new)

    def forget(self, layout: Layout, keys: Sequence[bytes]) -> int:
        """Have keys never seen; how many were."""
        return self.free(self._slots[layout.fingerprint], [*dict.fromkeys(keys)])

    def forget_everywhere(self, keys: Sequence[bytes]) -> int:
        """Have keys never seen by any layout, and leave nothing of them; how many states went. Raises HistoryError."""
        gone = sum(self.free(slots, keys) for slots in self.everything())
        self.journal.wipe()
        return gone

    def free(self, slots: Slots, keys: Sequence[bytes], until_us: int | None = None) -> int:
        """The same of different keys, in one file; only those whose latest transaction is before ``until_us``."""
        with self._watched():
            self.journal.begin()
            where, states = slots.read(keys)
            gone = [
                (key, slot)
                for key, slot, state in zip(keys, where, states, strict=True)
                if slot >= 0 and (until_us is None or int.from_bytes(state[8:16], "little", signed=True) < until_us)
            ]
            if gone:
                self._commit(slots.free(*zip(*gone, strict=True)), self.journal.newest)
            return len(gone)

    def parts(self, layout: Layout) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Keys and states of a layout, some at a time, each time with the gate taken. Raises HistoryError."""
        slots, first = self._slots[layout.fingerprint], 0
        while len(keys := slots.chunk(first)[0]):
            first += len(keys)
            with self.gate.held(_WAIT_SECONDS):
                known = [key for key in map(bytes, keys) if any(key)]
                found = [(key, state) for key, state in zip(known, self.states(layout, known), strict=True) if state]
            if found:
                names, states = zip(*found, strict=True)
                yield [*names], [*states]

    def everything(self) -> list[Slots]:
        """The files of all layouts that are here, also of models that are served no more."""
        with self._watched():
            self.journal.begin()
            for fingerprint in self._opening.fingerprints():
                if fingerprint not in self._slots:
                    self._slots[fingerprint] = self._opening.others(fingerprint, self._limits.keys)
            return list(self._slots.values())

    def newly_damaged(self) -> int:
        """States and buckets of ids that were not what was written, since the last call."""
        found = self._opening.damaged + self.ids.damaged + sum(one.damaged for one in self._slots.values())
        told, self._damaged_told = self._damaged_told, found
        return found - told

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Others open the store anew where this one finds it damaged."""
        try:
            yield
        except DamagedHistoryError:
            self._opening.suspect()
            raise
        except OSError as problem:
            raise HistoryError.not_writable(self._folder, problem) from None

    def sync(self) -> None:
        """Have the disk hold what was written until now; takes long, and needs no gate."""
        for descriptor in self.descriptors():
            os.fsync(descriptor)

    def descriptors(self) -> list[int]:
        """Those of all files that are open."""
        own = [number for one in self._slots.values() for number in (one.descriptor, one.index_descriptor)]
        return [*own, self.ids.descriptor, self._opening.descriptor]

    def lead(self) -> bool:
        """Whether it is this one that looks after the store for all, from now on until it is closed."""
        return self._opening.lead()

    def is_there(self) -> bool:
        """Whether the files still have their names: nobody deleted or moved them."""
        return self._opening.is_there() and all(os.fstat(number).st_nlink for number in self.descriptors())

    def keys(self) -> dict[str, int]:
        """How many slots of each layout of the model were ever used, by the column of its keys."""
        found = Counter[str]()
        for name, (slots, *_) in zip(self._names, self._layouts, strict=True):
            found[name] += slots.counts()[0]
        return found

    def bytes(self) -> int:
        """Of disk that its files take."""
        return sum(512 * os.fstat(number).st_blocks for number in self.descriptors())

    def close(self) -> None:
        """Close all files; not for who has the gate."""
        self.gate.close()
        if self._at_once is not None:
            self._at_once.close()
        self._opening.close()
