"""How many calls may wait: who would be answered too late is refused at the door, before anything is read of the call.

A worker that has more calls than it can answer in time can only choose whom it refuses, and what that costs. A refusal
after reading, parsing and waiting costs as much as an answer: past capacity, work on refusals takes the answers away.
So calls under way are counted, how long one takes is learnt from the answers that go out while others wait, and beyond
as many as can be answered within the bound the next is told so by a few bytes that are ready.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from statistics import median

from serving.connection.bounds import Refused
from serving.refuse import overloaded

SPAN_SECONDS = 0.05
"""Answers are counted over at least so long for one measure of how long a call takes."""
SPANS = 5
"""Of so many measures the middle one holds, of pauses the second longest: a stop of the machine is no cost of calls."""
_FIRST_GUESS_SECONDS = 1e-4

BUSY_LAST = Refused(503, overloaded().error).answer()
"""The answer to a call that is the last of its connection."""
BUSY = BUSY_LAST.replace(b"connection: close\r\n", b"")


class Door:
    """Counts the calls under way, and says how many there may be.

    Each is answered ``max_latency_seconds`` after its last byte came, at the latest: those before it take ``cost``
    each, all of what the worker does meanwhile included, and its bytes may have lain unread for one turn of the loop.
    """

    def __init__(self, max_latency_seconds: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._max_latency_seconds = max_latency_seconds
        self._clock = clock
        self.connections = 0
        """How many there have been."""
        self.waiting = 0
        """Calls that are there whole and not answered."""
        self.refused = 0
        """Calls turned away."""
        self._began = self._last = clock()
        self._answers = 0
        self._pause = 0.0
        """Longest time between two answers of this span: in a turn of the loop all answers go out together."""
        self._costs = deque([_FIRST_GUESS_SECONDS], maxlen=SPANS)
        self._pauses = deque([0.0] * SPANS, maxlen=SPANS)
        self.most = self._most()
        """From so many calls under way on the next is refused."""

    def enter(self) -> None:
        """One more call is there."""
        if not self.waiting:
            self._began = self._last = self._clock()
            self._answers, self._pause = 0, 0.0
        self.waiting += 1

    def leave(self) -> None:
        """One is answered, or nobody waits for its answer any more."""
        self.waiting -= 1
        self._answers += 1
        if self.waiting:
            now = self._clock()
            if now - self._last > self._pause:
                self._pause = now - self._last
            self._last = now
            if now - self._began >= SPAN_SECONDS:
                self._learn(now)

    def news(self) -> Callable[[], int]:
        """What tells, when called, how many were turned away since it was called last."""
        seen = self.refused

        def new() -> int:
            nonlocal seen
            before, seen = seen, self.refused
            return seen - before

        return new

    def _learn(self, now: float) -> None:
        self._costs.append((now - self._began) / self._answers)
        self._pauses.append(self._pause)
        self._began, self._answers, self._pause = now, 0, 0.0
        self.most = self._most()

    def _most(self) -> int:
        """One call at least: alone, it takes as long as it takes."""
        left = self._max_latency_seconds - sorted(self._pauses)[-2]
        return max(1, int(left / median(self._costs)))


class TurnedAway:
    """Stands where uvicorn has a call, for one that was answered before it became one: the rest of it is dropped."""

    response_complete, keep_alive, body, message_event = True, True, b"", asyncio.Event()

    def __init__(self) -> None:
        self.more_body = True
