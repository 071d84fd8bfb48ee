"""Looks after the store of histories beside the calls: opens it, adds what waits, and, one worker for all, sweeps it.

Of what a worker that is killed had waiting nothing is kept. What was written the system gives the disk, when it sees
fit (Linux: after half a minute): syncing took as long as all else with a million keys, and calls waited for it.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from fraud.errors import DamagedHistoryError, HistoryError, RefusedHistoryError
from fraud.history import room
from fraud.history.batch import joined
from fraud.history.files.filesystem import IN_PLACE
from fraud.history.layout import Layout
from fraud.history.store import Store
from fraud.history.sweep import sweep
from monitoring.history_metrics import HistoryMetrics
from serving.history.waiting import Waiting

if TYPE_CHECKING:
    from fraud.history.stores import AnyStore

LOG = logging.getLogger("bentoml.fraud")
TICK_SECONDS = 0.25
START_SECONDS = 10.0
"""Another worker may be making the store, or its index."""
LOOK_SECONDS = 10.0
SWEEP_SECONDS = 3600.0
DRAIN_SECONDS = 3.0
_ROWS = 128
"""That are added at a time: calls have to wait for as many."""
_TOLD_SECONDS = 60.0
"""Between two lines that say the same."""
_EMPTY = "the history store is empty, and every key looks new: `python -m training history warm` fills it"


class Keeper:
    """In a thread of its own, from ``start`` to ``close``."""

    def __init__(
        self,
        open_store: "Callable[[float], AnyStore]",
        layouts: Sequence[Layout],
        skew_us: int,
        waiting: Waiting,
        metrics: HistoryMetrics,
    ) -> None:
        self.store: AnyStore | None = None
        """None while it cannot be used."""
        self._open_store, self._layouts = open_store, layouts
        self._skew_us, self._waiting, self._metrics = skew_us, waiting, metrics
        self._broken: AnyStore | None = None
        self.leads = False
        """Whether this worker looks after the store for all."""
        self._told: dict[str, float] = {}
        self._ails, self._late = False, 0
        """Whether an error was said since all was well, and how many transactions were added late."""
        self._looked = self._swept = 0.0
        self._sweep: Iterator[int] | None = None
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="fraud-history", daemon=True)

    def start(self) -> None:
        """Open the store; where it cannot be opened, try again beside the calls. Nobody calls yet: it may take long."""
        self._open(START_SECONDS)
        self._thread.start()

    def failed(self, store: "AnyStore", error: HistoryError) -> None:
        """A call met an error: a damaged store is opened anew, any other is tried again by the next call."""
        self.say(error)
        if isinstance(error, DamagedHistoryError) and self.store is store:
            self.store, self._broken = None, store
            self._wake.set()

    def close(self) -> None:
        """Add what waits, for some seconds; what is left then is lost and counted."""
        self._stop.set()
        self._wake.set()
        self._thread.join(2 * DRAIN_SECONDS)  # a server may take long for each byte
        if lost := len(self._waiting):
            LOG.error("the history store could not be written in time: %d transactions are in no history", lost)
            self._metrics.dropped("shutdown", lost)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._guarded(self._open_and_add, self._look_after)
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()
        until = time.monotonic() + DRAIN_SECONDS
        while len(self._waiting) and time.monotonic() < until:
            self._guarded(self._open_and_add)
            time.sleep(TICK_SECONDS / 5)
        if (store := self.store) is not None:
            self.store = None
            store.close()

    def _guarded(self, *works: Callable[[], None]) -> None:
        """Do each; the store may fail in any way, and the worker goes on: a full one is to be described, too."""
        for work in works:
            try:
                work()
            except HistoryError as error:
                if (store := self.store) is not None:  # a call may find it broken meanwhile
                    self.failed(store, error)
            except Exception:  # a thread that ended would leave transactions waiting until the worker is restarted
                LOG.exception("the history store could not be looked after")

    def _open_and_add(self) -> None:
        self._open()
        store, until, rows = self.store, time.monotonic() + DRAIN_SECONDS, _ROWS
        while store is not None and time.monotonic() < until and (some := self._waiting.first(rows)):
            full, before, batch = None, store.added, joined(some)
            with store.gate.held(TICK_SECONDS):
                began = time.monotonic()
                try:
                    full = room.add(store, self._layouts, batch).error
                except Exception as error:
                    if isinstance(error, HistoryError) and not isinstance(error, RefusedHistoryError):
                        raise
                    if len(some) > 1:  # only one of them may be what fails
                        rows = 1
                        continue
                    LOG.exception("%d transactions could not be added to histories", len(batch.times))
                    self._metrics.dropped("error", len(batch.times))
            self._waiting.done(len(some), store.added - before)
            self._late += store.added - before
            if full is not None:
                self.say(full)
            time.sleep(time.monotonic() - began)  # calls want the gate, too
        if not len(self._waiting):
            if self._late and self._ails:
                LOG.warning("histories go on: %d transactions that waited were added", self._late)
                self._ails = False
            self._late = 0

    def _open(self, wait_seconds: float = TICK_SECONDS) -> None:
        if (broken := self._broken) is not None:
            self._broken = None
            self._sweep, self.leads = None, False
            self._metrics.damaged(broken.newly_damaged())
            broken.close()
        if self.store is not None:
            return
        try:
            store = self._open_store(wait_seconds)
        except HistoryError as error:
            self.say(HistoryError(f"{error}; meanwhile transactions are scored without their histories"))
            return
        for line in store.said:
            LOG.warning("%s", line)
        if not store.is_quick:
            LOG.info("histories cost more here: the store is on no file system of %s", ", ".join(sorted(IN_PLACE)))
        store.said.clear()
        self.store = store

    def _look_after(self) -> None:
        store, now = self.store, time.monotonic()
        if store is None:
            return
        if damaged := store.newly_damaged():
            self._metrics.damaged(damaged)
            self.say(HistoryError(f"the history store: {damaged} states were damaged, and their keys began anew"))
        if now - self._looked < LOOK_SECONDS and self._sweep is None:
            return
        if not store.is_there():
            self.failed(store, DamagedHistoryError("the files of the history store were deleted: it is begun anew"))
            return
        if not isinstance(store, Store):
            # by every replica: what one said while it led would stand for good. Leading takes memory, and comes after
            self._looked = now
            try:
                self._metrics.describe({}, *store.memory())
                self.leads = store.lead()
            except HistoryError:
                self.leads = False
                raise
            return
        self.leads = store.lead()
        if not self.leads:
            self._looked = now
        else:
            if now - self._looked >= LOOK_SECONDS:
                self._describe(store)
                self._looked = now
            self._sweep_some(store, now)

    def _describe(self, store: Store) -> None:
        with store.gate.held(TICK_SECONDS):
            keys = store.keys()
        if not (self._looked or any(keys.values())):
            LOG.warning("%s", _EMPTY)
        self._metrics.describe(keys, store.bytes())

    def _sweep_some(self, store: Store, now: float) -> None:
        if self._sweep is None and (not self._swept or now - self._swept >= SWEEP_SECONDS):
            self._swept = now
            self._sweep = sweep(store, self._skew_us)
        if self._sweep is not None and next(self._sweep, None) is None:
            self._sweep = None

    def say(self, error: HistoryError) -> None:
        """In the log, each once a minute."""
        words, now, self._ails = str(error), time.monotonic(), True
        if now - self._told.get(words, -_TOLD_SECONDS) >= _TOLD_SECONDS:
            self._told = {one: at for one, at in self._told.items() if now - at < _TOLD_SECONDS} | {words: now}
            LOG.error("%s", words)
