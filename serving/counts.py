"""BentoML's own metrics of one endpoint, for calls that its middleware does not see: counted together, once a second.

The same series with the same labels as BentoML's middleware and batcher fill.
"""

import time
from typing import TYPE_CHECKING

from monitoring.pending import Pending, taken
from serving.bento import RequestSeries

if TYPE_CHECKING:
    from prometheus_client import Counter


class BuiltinCounts:
    """Counts calls and batches here; ``flush`` hands the counts over to ``series``."""

    def __init__(self, series: RequestSeries) -> None:
        self.in_progress = 0
        self._published = 0
        self._calls: dict[int, list[float]] = {200: [], 503: []}
        self._batches: list[int] = []
        self._series = series
        self._sizes = Pending(series.batch_size)
        self._made: dict[int, tuple[Counter, Pending]] = {}

    def answered(self, status: int, seconds: float) -> None:
        """Count a call: 200 or 503, and how long it took."""
        self._calls[status].append(seconds)

    def turned_away(self, calls: int) -> None:
        """Count calls that were answered with 503 at once."""
        self._calls[503] += [0.0] * calls

    def sized(self, rows: int) -> None:
        """Count a batch."""
        self._batches.append(rows)

    def flush(self) -> None:
        """Hand over what was counted since the last time."""
        now = self.in_progress
        self._series.in_progress.inc(now - self._published)
        self._published = now
        for status, seconds in self._calls.items():
            calls = taken(seconds)
            if calls:
                self._series.last_request.set(time.time())
                self._count(status, calls)
        if sizes := taken(self._batches):
            self._sizes.add(sizes)
            self._sizes.hand_over()

    def _count(self, status: int, seconds: list[float]) -> None:
        if status not in self._made:  # as BentoML makes them: with the first call
            self._made[status] = self._series.total(status), Pending(self._series.duration(status))
        total, durations = self._made[status]
        total.inc(len(seconds))
        durations.add(seconds)
        durations.hand_over()
