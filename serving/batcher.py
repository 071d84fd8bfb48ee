"""Adaptive batching without waits: whatever arrived in one turn of the event loop is scored together.

BentoML's own batcher learns how long calls used to wait and then holds lone calls back for as long, and it looks for
work once a millisecond. A forest scores a row in microseconds: a batch is worth forming only from what is there
already, and from what comes while one is scored.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeAlias, TypeVar

from serving.refuse import overloaded

Row = TypeVar("Row")
Answer = TypeVar("Answer")
Futures: TypeAlias = tuple[asyncio.Future[Answer], ...]
AT_ONCE = 2
"""Batches that wait for something else, as for histories in Redis: were it one, who came then would wait for two. The
second goes when it is as large as the first, or it would be that of whoever is quickest, and the others would wait."""
TURNS = 128
"""Of the event loop, at most, that a batch waits for connections to be let in."""

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


class Batcher(Generic[Row, Answer]):
    """Gathers rows and hands them to ``score`` together, at most ``max_batch_size`` of them.

    ``score(rows)`` gives an answer for each row, or an awaitable of them, of which ``AT_ONCE`` may be awaited. Of
    several rows the oldest is shed when it would be answered later than ``max_latency_seconds`` after its arrival:
    ``submit`` raises RefusedError.
    ``connections()``: how many there have been. While they come, batches wait: a turn of the event loop lets in one,
    and with a batch in each turn thousands would wait for minutes, probes among them. ``turned(rows, seconds)``: told
    how long it took from batch to batch, all else included, while there were rows that waited for no more than that.
    ``rested(seconds)``: told, when nobody waits after a batch, how long a row takes in a large one.
    """

    def __init__(
        self,
        score: Score[Row, Answer],
        *,
        max_latency_seconds: float,
        max_batch_size: int,
        connections: Callable[[], int] = lambda: 0,
        turned: Callable[[int, float], None] = lambda *_: None,
        rested: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._score = score
        self._connections, self._turned, self._rested = connections, turned, rested
        self._turn_began: float | None = None
        """When the batch before ended; None when nobody waited then."""
        self._seen = self._turns = 0
        """Connections at the last look, and turns waited for more."""
        self._max_latency_seconds = max_latency_seconds
        self._max_batch_size = max_batch_size
        self._queue: deque[tuple[float, Row, asyncio.Future[Answer]]] = deque()
        """When each row came, the row, and where its answer goes."""
        self._cost = LinearCost()
        self._due = False
        """Whether the next batch is about to be scored."""
        self._awaited = list[int]()
        """Of each batch whose answers are awaited, its rows."""
        self._tasks: set[asyncio.Task[None]] = set()  # referred to, or the loop may forget them

    async def submit(self, row: Row, alone: bool = False) -> Answer:
        """The answer to ``row``, which may be scored with others; at once where it is ``alone``."""
        if alone and not self._queue and self._may_go(1):
            return await self._score_alone(row)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append((time.perf_counter(), row, future))
        self._plan()
        return await future

    async def _score_alone(self, row: Row) -> Answer:
        """Without a turn of the event loop, where the scoring does not wait itself."""
        started = time.perf_counter()
        answers = self._score([row])
        if isinstance(answers, Sequence):
            self._cost.note(1, time.perf_counter() - started)
            return answers[0]
        self._awaited.append(1)
        try:
            try:
                answers = await answers
            finally:
                self._came(1)
            self._cost.note(1, time.perf_counter() - started)
        finally:
            self._go_on(1)
        return answers[0]

    def _plan(self) -> None:
        """What waits is the next batch, if that is not known and it may go."""
        if self._queue and not self._due and self._may_go(len(self._queue)):
            self._due = True
            # in a context of its own: a batch is no call's, and its lines bear no call's id
            asyncio.get_running_loop().call_soon(self._release, context=Context())

    def _may_go(self, rows: int) -> bool:
        return not self._awaited or (len(self._awaited) < AT_ONCE and rows >= self._awaited[0])

    def _release(self) -> None:
        """Score the next batch."""
        if self._lets_in():
            asyncio.get_running_loop().call_soon(self._release)
            return
        self._due = False
        self._shed_late()
        waiting = self._queue
        _, rows, futures = zip(
            *(waiting.popleft() for _ in range(min(len(waiting), self._max_batch_size))), strict=True
        )
        started = time.perf_counter()
        try:
            answers = self._score(list(rows))
            if isinstance(answers, Awaitable):
                self._awaited.append(len(rows))
                self._tasks.add(task := asyncio.ensure_future(self._await(futures, answers, started)))
                task.add_done_callback(self._tasks.discard)
                self._plan()
            else:
                self._settle(futures, answers, started)
        except BaseException as error:  # noqa: BLE001 - it is the callers', and goes on where it is no Exception
            self._fail(futures, error)

    def _lets_in(self) -> bool:
        """Whether a connection came since the last look, so that there may be more."""
        seen, self._seen = self._seen, self._connections()
        self._turns = self._turns + 1 if self._seen != seen and self._turns < TURNS else 0
        return self._turns > 0

    async def _await(self, futures: Futures[Answer], scoring: Awaitable[Sequence[Answer]], started: float) -> None:
        try:
            try:
                answers = await scoring
            finally:
                self._came(len(futures))
            self._settle(futures, answers, started)
        except BaseException as error:  # noqa: BLE001 - it is the callers', and goes on where it is no Exception
            self._fail(futures, error)

    def _came(self, rows: int) -> None:
        """The answers of a batch: where it was not full, more rows would have taken no longer, and no turn is told."""
        self._awaited.remove(rows)
        if rows < self._max_batch_size:
            self._turn_began = None

    def _shed_late(self) -> None:
        """Never a row alone: there is nobody whom its refusal would help."""
        now = time.perf_counter()
        while len(self._queue) > 1:
            arrived, _, future = self._queue[0]
            next_batch = min(len(self._queue), self._max_batch_size)
            if now - arrived + self._cost.seconds(next_batch) < self._max_latency_seconds:
                return
            self._queue.popleft()
            if not future.done():
                future.set_exception(overloaded())

    def _settle(self, futures: Futures[Answer], answers: Sequence[Answer], started: float) -> None:
        if len(answers) != len(futures):
            raise ValueError(f"{len(futures)} rows were scored, {len(answers)} answers came")
        self._cost.note(len(futures), time.perf_counter() - started)
        for future, answer in zip(futures, answers, strict=True):
            if not future.done():  # its caller was cancelled
                future.set_result(answer)
        self._go_on(len(futures))

    def _fail(self, futures: Futures[Answer], error: BaseException) -> None:
        """Tell each caller, whatever ended the scoring; what is no Exception goes on to end more than that."""
        ours = error if isinstance(error, Exception) else RuntimeError(f"the scoring was ended: {error!r}")
        for future in futures:
            if not future.done():
                future.set_exception(ours)
        self._go_on(len(futures))
        if ours is not error:
            raise error

    def _go_on(self, scored: int) -> None:
        """What waits is the next batch."""
        now = time.perf_counter()
        if self._turn_began is not None:
            self._turned(scored, now - self._turn_began)
        self._turn_began = now if self._queue else None
        self._plan()
        if not self._queue:
            self._rested(self._cost.seconds(self._max_batch_size) / self._max_batch_size)
