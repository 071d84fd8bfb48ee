"""How many calls may wait: who would be answered too late is refused at the door, before anything is read of the call.

A worker that has more calls than it can answer in time can only choose whom it refuses, and what that costs. A refusal
after reading, parsing and waiting costs as much as an answer: past capacity, work on refusals takes the answers away.
So calls under way are counted, how long one takes is learnt from batches that are scored while others wait, and beyond
as many as can be answered within the bound the next is told so by a few bytes that are ready.
"""

from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Any

DOOR = "/predict"
SPAN_SECONDS = 0.05
"""Turns of the event loop make one measure of how long a call takes when they are so long together."""
SPANS = 5
"""Of so many measures the middle one holds, of turns the second longest: a stop of the machine is no cost of calls."""
_FIRST_GUESS_SECONDS, _LEAST_SECONDS = 1e-4, 5e-5
REFUSALS_A_TICK, TICK_SECONDS, LONGEST_SECONDS = 40, 0.01, 1.0
"""Refusals beyond 4,000 a second, a tenth of a worker's time, wait for their turn, each a second at the most."""


class Door:
    """Counts the calls under way, and says how many there may be.

    Each is answered ``max_latency_seconds`` after its last byte came, at the latest: those before it take a cost each,
    with all that the worker does meanwhile; its bytes may have lain unread for one turn of the loop, and its answer
    goes out at the end of another.
    """

    def __init__(self, max_latency_seconds: float) -> None:
        self._max_latency_seconds = max_latency_seconds
        self.connections = 0
        """How many there have been."""
        self.waiting = 0
        """Calls that are there whole and not answered."""
        self.refused = 0
        """Calls turned away."""
        self._answers, self._seconds, self._longest = 0, 0.0, 0.0
        """Of the turns since the last measure."""
        self._costs = deque([_FIRST_GUESS_SECONDS] * SPANS, maxlen=SPANS)
        self._turns = deque([0.0] * SPANS, maxlen=SPANS)
        self.most = self._most()
        """From so many calls under way on the next is refused."""
        self._held: deque[tuple[float, Any]] = deque()
        self._left = REFUSALS_A_TICK

    def learn(self, answers: int, seconds: float) -> None:
        """A turn of the loop took ``seconds`` and gave ``answers``, and others waited all the while."""
        self._answers += answers
        self._seconds += seconds
        self._longest = max(self._longest, seconds)
        if self._seconds >= SPAN_SECONDS:
            self._costs.append(self._seconds / self._answers)
            self._turns.append(self._longest)
            self._answers, self._seconds, self._longest = 0, 0.0, 0.0
            self.most = self._most()

    def rest(self, score_seconds: float) -> None:
        """Nobody waits: let a few more in than before, up to what ``score_seconds`` a call would allow.

        What is learnt from an overload is not what calls cost after it, and who lets in few never learns that.
        """
        if self.most * max(score_seconds, _LEAST_SECONDS) < self._max_latency_seconds:
            self.most += 1 + self.most // 64

    def hold(self, connection: Any) -> None:  # noqa: ANN401 - of ``serving.connection.protocol.bounded``
        """Have ``connection`` told that it is turned away: now, or, where too many are, a little later.

        Who calls again at once when refused would else leave a worker no time for anything but refusals.
        """
        self.refused += 1
        if self._left == REFUSALS_A_TICK:
            connection.loop.call_later(TICK_SECONDS, self._tick, connection.loop)
        if self._left > 0:
            self._left -= 1
            connection.tell()
        else:
            connection.transport.pause_reading()
            self._held.append((connection.loop.time() + LONGEST_SECONDS, connection))

    def _tick(self, loop: Any) -> None:  # noqa: ANN401 - asyncio's or uvloop's
        now, held, left = loop.time(), self._held, REFUSALS_A_TICK
        while held and (left > 0 or held[0][0] < now):
            _, connection = held.popleft()
            connection.tell()
            left -= 1
        self._left = REFUSALS_A_TICK
        if held:
            self._left = 0
            loop.call_later(TICK_SECONDS, self._tick, loop)

    def news(self) -> Callable[[], int]:
        """What tells, when called, how many were turned away since it was called last."""
        seen = self.refused

        def new() -> int:
            nonlocal seen
            before, seen = seen, self.refused
            return seen - before

        return new

    def _most(self) -> int:
        """One call at least: alone, it takes as long as it takes. Pauses take half of the time at the most."""
        left = self._max_latency_seconds - 2 * sorted(self._turns)[-2]
        return max(1, int(max(left, self._max_latency_seconds / 2) / median(self._costs)))
