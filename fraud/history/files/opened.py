"""States in files that are open: read, put and freed, through the journal, by whoever has the gate."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fraud.errors import DamagedHistoryError, HistoryError
from fraud.history.files.folder import Opening
from fraud.history.files.gate import Gate
from fraud.history.files.ids import Ids
from fraud.history.files.journal import Change
from fraud.history.files.place import Limits, fingerprints
from fraud.history.files.slots import Slots
from fraud.history.layout import Layout

_WAIT_SECONDS = 10.0


class OpenFiles:
    """Of the layouts of one model, and of whichever others are there. All but ``gate``, ``parts`` and ``sync`` are for
    who has the gate."""

    def __init__(self, gate: Gate, opening: Opening, layouts: Sequence[Layout], limits: Limits) -> None:
        self.gate, self.said = gate, opening.said
        """Lines about what was found when it was opened: for the log."""
        self._folder, self._opening, self._limits = opening.folder, opening, limits
        self._slots = {one.fingerprint: opening.slots(one, limits.keys) for one in layouts}
        self.journal, self._ids, self._damaged_told = opening.journal, list[Ids](), 0

    def _remember(self, *ids: Ids) -> None:
        """Look after these, too; others open the store anew where a file is another one than it was."""
        self._ids += ids
        if any(one.replaced for one in self._files()):
            self._opening.renew()
            self.journal = self._opening.journal

    def _commit(self, changes: list[Change], newest: int) -> None:
        try:
            if changes:
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
            for fingerprint in fingerprints(self._opening.folder):
                if fingerprint not in self._slots:
                    self._slots[fingerprint] = self._opening.others(fingerprint, self._limits.keys)
            return list(self._slots.values())

    def newly_damaged(self) -> int:
        """States and buckets of ids that were not what was written, since the last call."""
        found = self._opening.damaged + sum(one.damaged for one in self._files())
        told, self._damaged_told = self._damaged_told, found
        return found - told

    def _files(self) -> list[Slots | Ids]:
        return [*self._slots.values(), *self._ids]

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
        own = [one.index_descriptor for one in self._slots.values()]
        return own + [one.descriptor for one in (*self._files(), self._opening)]

    def lead(self) -> bool:
        """Whether it is this one that looks after the store for all, from now on until it is closed."""
        return self._opening.lead()

    def is_there(self) -> bool:
        """Whether the files still have their names: nobody deleted or moved them."""
        return self._opening.is_there() and all(os.fstat(number).st_nlink for number in self.descriptors())

    def bytes(self) -> int:
        """Of disk that its files take."""
        return sum(512 * os.fstat(number).st_blocks for number in self.descriptors())

    def close(self) -> None:
        """Close all files; not for who has the gate."""
        self.gate.close()
        self._let_go()
        self._opening.close()

    def _let_go(self) -> None:
        """Of what else is held of the files, before they are closed."""
