"""Adaptive batching without waits: whatever arrived in one turn of the event loop is scored together.

BentoML's own batcher learns how long calls used to wait and then holds lone calls back for as long, and it looks for
work once a millisecond. A forest scores a row in microseconds: a batch is worth forming only from what is there
already, and from what comes while one is scored.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import Generic, NamedTuple, TypeVar

from serving.refuse import overloaded

Row = TypeVar("Row")
Answer = TypeVar("Answer")
Score = Callable[[list[Row]], Sequence[Answer] | Awaitable[Sequence[Answer]]]

_KEPT = 0.98
"""How much of what was seen still counts after one more batch: of fifty batches the oldest counts a third."""


class LinearCost:
    """How long a batch takes: ``a * rows + b`` seconds, by least squares over the batches seen, the newest most.

    Nothing until the first was seen. While all were of one size, cost is split as the shortest solution does.
    """

    def __init__(self) -> None:
        self._batches = self._rows = self._squares = self._seconds = self._products = 0.0

    def note(self, rows: int, seconds: float) -> None:
        """A batch of ``rows`` took ``seconds``."""
        self._batches = self._batches * _KEPT + 1.0
        self._rows = self._rows * _KEPT + rows
        self._squares = self._squares * _KEPT + rows * rows
        self._seconds = self._seconds * _KEPT + seconds
        self._products = self._products * _KEPT + rows * seconds

    def seconds(self, rows: int) -> float:
        """What a batch of ``rows`` would take."""
        little = 1e-12 * self._squares  # what makes the equations solvable, and the solution the shortest
        batches, squares = self._batches + little, self._squares + little
        determinant = squares * batches - self._rows**2
        if not determinant:
            return 0.0
        each = (batches * self._products - self._rows * self._seconds) / determinant
        always = (squares * self._seconds - self._rows * self._products) / determinant
        return max(0.0, each) * rows + max(0.0, always)


class _Job(NamedTuple, Generic[Row, Answer]):
    arrived: float
    row: Row
    future: "asyncio.Future[Answer]"


class Batcher(Generic[Row, Answer]):
    """Gathers rows and hands them to ``score`` together, at most ``max_batch_size`` of them, one batch after another.

    ``score(rows)`` gives an answer for each row, or an awaitable of them. Of several rows the oldest is shed when it
    would be answered later than ``max_latency_seconds`` after its arrival: ``submit`` raises RefusedError.
    """

    def __init__(self, score: Score[Row, Answer], *, max_latency_seconds: float, max_batch_size: int) -> None:
        self._score = score
        self._max_latency_seconds = max_latency_seconds
        self._max_batch_size = max_batch_size
        self._queue: deque[_Job[Row, Answer]] = deque()
        self._cost = LinearCost()
        self._busy = False
        """Whether a batch is being scored, or is about to be."""
        self._scoring: asyncio.Task[None] | None = None  # referred to, or the loop may forget it

    async def submit(self, row: Row, alone: bool = False) -> Answer:
        """The answer to ``row``, which may be scored with others; at once where it is ``alone``."""
        if alone and not self._busy:
            started = time.perf_counter()
            answers = self._score([row])
            if isawaitable(answers):
                answers = await answers
            self._cost.note(1, time.perf_counter() - started)
            return answers[0]
        loop = asyncio.get_running_loop()
        job: _Job[Row, Answer] = _Job(time.perf_counter(), row, loop.create_future())
        self._queue.append(job)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._release)
        return await job.future

    def _release(self) -> None:
        """Score the next batch."""
        self._shed_late()
        jobs = [self._queue.popleft() for _ in range(min(len(self._queue), self._max_batch_size))]
        if not jobs:
            self._busy = False
            return
        started = time.perf_counter()
        try:
            answers = self._score([job.row for job in jobs])
        except Exception as error:  # noqa: BLE001 - each caller is told
            self._fail(jobs, error)
            return
        if isawaitable(answers):
            self._scoring = asyncio.ensure_future(self._await(jobs, answers, started))
        else:
            self._settle(jobs, answers, started)

    async def _await(self, jobs: list[_Job[Row, Answer]], scoring: Awaitable[Sequence[Answer]], started: float) -> None:
        try:
            answers = await scoring
        except Exception as error:  # noqa: BLE001 - each caller is told
            self._fail(jobs, error)
        else:
            self._settle(jobs, answers, started)

    def _shed_late(self) -> None:
        """Never a row alone: there is nobody whom its refusal would help."""
        now = time.perf_counter()
        while len(self._queue) > 1:
            expected = now - self._queue[0].arrived + self._cost.seconds(len(self._queue))
            if expected < self._max_latency_seconds:
                return
            future = self._queue.popleft().future
            if not future.done():
                future.set_exception(overloaded())

    def _settle(self, jobs: list[_Job[Row, Answer]], answers: Sequence[Answer], started: float) -> None:
        self._cost.note(len(jobs), time.perf_counter() - started)
        for job, answer in zip(jobs, answers, strict=True):
            if not job.future.done():  # its caller was cancelled
                job.future.set_result(answer)
        self._go_on()

    def _fail(self, jobs: list[_Job[Row, Answer]], error: Exception) -> None:
        for job in jobs:
            if not job.future.done():
                job.future.set_exception(error)
        self._go_on()

    def _go_on(self) -> None:
        if self._queue:
            asyncio.get_running_loop().call_soon(self._release)
        else:
            self._busy = False
