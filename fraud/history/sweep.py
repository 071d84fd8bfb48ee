"""States of keys that were not seen for longer than they say anything: they leave, a few at a time."""

import time
from collections.abc import Iterator

from fraud.history.files.rebuild import NO_KEY
from fraud.history.layout import MICROSECONDS
from fraud.history.store import Store

NOW_US = 86_400 * MICROSECONDS
"""A store whose newest transaction is further from the clock is not swept: rows of the past are sent again, in whatever
order, or one of the clocks has jumped."""
AT_ONCE = 8
"""Keys that leave while the gate is held: a fraction of a millisecond."""
_WAIT_SECONDS = 1.0


def sweep(store: Store, skew_us: int) -> Iterator[int]:
    """Look through all states, a step each time it is asked; gives how many left in each step. Raises HistoryError.

    Old is what says nothing any more of any transaction of the last day; nothing is while the clock and the newest
    transaction are further apart.
    """
    with store.gate.held(_WAIT_SECONDS):
        files = store.everything()
    for slots in files:
        first = 0
        while True:
            keys, latest = slots.chunk(first)
            if not len(keys):
                break
            newest, now = store.journal.newest, int(time.time() * MICROSECONDS)
            if abs(now - newest) > NOW_US:
                return
            until = min(newest, now) - NOW_US - slots.keep_us - skew_us
            old = [key for key in map(bytes, keys[latest < until]) if key != NO_KEY]
            gone = 0
            for start in range(0, len(old), AT_ONCE):
                with store.gate.held(_WAIT_SECONDS):
                    gone += store.free(slots, old[start : start + AT_ONCE], until)
            first += len(keys)
            yield gone
