"""Transactions that wait to be added to histories: a bounded queue, and what is counted of it and of all others."""

from collections import Counter, deque

from fraud.history.batch import Batch
from monitoring.history_metrics import HistoryMetrics


class Waiting:
    """At most ``most`` transactions. ``put`` is for one thread, ``first`` and ``done`` for another."""

    def __init__(self, metrics: HistoryMetrics, most: int) -> None:
        self._metrics, self._most = metrics, most
        self._queue: deque[Batch] = deque()
        self._came = self._went = self._added = self._dropped = 0  # each only grows, and is written by one thread
        self._missing: Counter[str] = Counter()
        self._told: Counter[str] = Counter()

    def __len__(self) -> int:
        """Transactions that wait."""
        return self._came - self._went

    def missing(self, reason: str, rows: int) -> None:
        """Count transactions that are scored without."""
        self._missing[reason] += rows

    def added(self, rows: int) -> None:
        """Count transactions that were added at once."""
        self._added += rows

    def put(self, batch: Batch) -> None:
        """Have a batch added later, if there is room."""
        rows = len(batch.times)
        if len(self) + rows > self._most:
            self._dropped += rows
            return
        self._came += rows
        self._queue.append(batch)

    def first(self, rows: int) -> list[Batch]:
        """Those that have waited longest: so many transactions, unless the first has more."""
        found = list[Batch]()
        for one in range(len(self._queue)):
            rows -= len(self._queue[one].times)
            if found and rows < 0:
                break
            found.append(self._queue[one])
        return found

    def done(self, batches: int, added: int) -> None:
        """The first of them wait no more; ``added``: how many of their transactions were new."""
        self._went += sum(len(self._queue.popleft().times) for _ in range(batches))
        self._metrics.added(added)

    def publish(self) -> None:
        """Hand over what was counted since the last time."""
        self._metrics.added(self._new("added", self._added))
        self._metrics.dropped("full", self._new("dropped", self._dropped))
        for reason in list(self._missing):
            self._metrics.missing(reason, self._new(reason, self._missing[reason]))
        self._metrics.pending(len(self))

    def _new(self, what: str, total: int) -> int:
        told, self._told[what] = self._told[what], total
        return total - told
