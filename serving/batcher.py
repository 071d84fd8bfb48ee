"""Adaptive batching without waits: whatever arrived in one turn of the event loop is scored together.

BentoML's own batcher learns how long calls used to wait and then holds lone calls back for as long, and it looks for
work once a millisecond. A forest scores a row in microseconds: a batch is worth forming only from what is there
already, and from what comes while one is scored.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from inspect import isawaitable
from typing import Generic, NamedTuple, TypeVar

from serving.refuse import overloaded

Row = TypeVar("Row")
Answer = TypeVar("Answer")
Score = Callable[[list[Row]], Sequence[Answer] | Awaitable[Sequence[Answer]]]


class LinearCost:
    """How long a batch takes: ``a * rows + b`` seconds, by least squares over the last batches, worked out anew after
    every ``FIT_EVERY`` of them; nothing before the first ``FIT_EVERY``.

    The slowest tenth is left out, measured by the row: a pause of the machine is not what the next batch will cost, and
    work that has become slow is more than a tenth soon.
    """

    BATCHES = 50
    FIT_EVERY = 16

    def __init__(self) -> None:
        self._batches: deque[tuple[int, float]] = deque(maxlen=self.BATCHES)
        self._unfitted = 0
        self._each = self._always = 0.0

    def note(self, rows: int, seconds: float) -> None:
        """A batch of ``rows`` took ``seconds``."""
        self._batches.append((rows, seconds))
        self._unfitted += 1
        if self._unfitted >= self.FIT_EVERY:
            self._unfitted = 0
            self._fit()

    def seconds(self, rows: int) -> float:
        """What a batch of ``rows`` would take."""
        return self._each * rows + self._always

    def _fit(self) -> None:
        """The least squares; where all batches were of one size, the shortest of the solutions."""
        usual = sorted(self._batches, key=lambda batch: batch[1] / batch[0])
        usual = usual[: len(usual) - max(1, len(usual) // 10)]
        count, rows = len(usual), sum(size for size, _ in usual)
        squares = sum(size * size for size, _ in usual)
        seconds, products = sum(took for _, took in usual), sum(size * took for size, took in usual)
        little = 1e-9 * squares
        determinant = (squares + little) * (count + little) - rows**2
        self._each = max(0.0, ((count + little) * products - rows * seconds) / determinant)
        self._always = max(0.0, ((squares + little) * seconds - rows * products) / determinant)


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
            return await self._score_alone(row)
        loop = asyncio.get_running_loop()
        job: _Job[Row, Answer] = _Job(time.perf_counter(), row, loop.create_future())
        self._queue.append(job)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._release)
        return await job.future

    async def _score_alone(self, row: Row) -> Answer:
        """Without a turn of the event loop, where the scoring does not wait itself."""
        started = time.perf_counter()
        answers = self._score([row])
        if isawaitable(answers):
            self._busy = True
            try:
                answers = await answers
            finally:
                self._go_on()
        self._cost.note(1, time.perf_counter() - started)
        return answers[0]

    def _release(self) -> None:
        """Score the next batch."""
        self._shed_late()
        jobs = [self._queue.popleft() for _ in range(min(len(self._queue), self._max_batch_size))]
        if not jobs:
            self._busy = False
            return
        started = time.perf_counter()
        with self._told(jobs):
            answers = self._score([job.row for job in jobs])
            if not isawaitable(answers):
                self._settle(jobs, answers, started)
                return
            self._scoring = asyncio.ensure_future(self._await(jobs, answers, started))

    async def _await(self, jobs: list[_Job[Row, Answer]], scoring: Awaitable[Sequence[Answer]], started: float) -> None:
        with self._told(jobs):
            self._settle(jobs, await scoring, started)

    @contextmanager
    def _told(self, jobs: list[_Job[Row, Answer]]) -> Iterator[None]:
        """Whatever ends the scoring inside, each caller is told, and the next batch comes."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - it is the callers'
            self._fail(jobs, error)
        except BaseException as error:
            self._fail(jobs, RuntimeError(f"the scoring was ended: {error!r}"))
            raise

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
        if len(answers) != len(jobs):
            raise ValueError(f"{len(jobs)} rows were scored, {len(answers)} answers came")
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
