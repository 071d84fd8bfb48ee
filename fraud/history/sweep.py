"""States of keys that were not seen for longer than they say anything: they leave, a few at a time."""

import time
from collections.abc import Iterator

from fraud.history.files.rebuild import NO_KEY
from fraud.history.layout import MICROSECONDS
from fraud.history.store import Store

AT_ONCE = 8
"""Keys that leave while the gate is held: a fraction of a millisecond."""
_WAIT_SECONDS = 1.0


def sweep(store: Store, skew_us: int) -> Iterator[int]:
    """Look through all states, a step each time it is asked; gives how many left in each step. Raises HistoryError.

    Old is what is older than both the newest transaction and the clock say: one that jumps ahead forgets nothing.
    """
    with store.gate.held(_WAIT_SECONDS):
        files = store.everything()
    for slots in files:
        first = 0
        while True:
            keys, latest = slots.chunk(first)
            if not keys:
                break
            until = min(store.journal.newest, int(time.time() * MICROSECONDS)) - slots.keep_us - skew_us
            old = [key for key, last in zip(keys, latest.tolist(), strict=True) if last < until and key != NO_KEY]
            gone = 0
            for start in range(0, len(old), AT_ONCE):
                with store.gate.held(_WAIT_SECONDS):
                    gone += store.free(slots, old[start : start + AT_ONCE], until)
            first += len(keys)
            yield gone
