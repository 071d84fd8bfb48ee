"""BentoML's adaptive batcher without its waits: whatever arrived in one turn of the event loop is scored together.

``CorkDispatcher`` learns how long calls used to wait and then holds lone calls back for as long, and it looks for work
once a millisecond. A forest scores a row in microseconds: a batch is worth forming only from what is there already.
Queue, limits, statistics and the rule of shedding are BentoML's. Names of BentoML's own are touched here;
``tests/fraud/test_dispatch.py`` names each.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from bentoml._internal.marshal.dispatcher import CorkDispatcher, Job, Optimizer
from bentoml.exceptions import ServiceUnavailable


class PromptOptimizer(Optimizer):
    """An optimizer that never holds a batch back: ``wait`` stays 0 whatever is learnt.

    It starts from no cost, not from a guess of 1/15 of the latency allowed for a row, which would shed the first burst.
    """

    def __init__(self, max_latency: float) -> None:
        super().__init__(max_latency)
        self.o_a = self.o_b = 0.0

    wait = property(lambda _: 0.0, lambda _, __: None)


def _shed() -> Any:  # noqa: ANN401 - it never returns
    raise ServiceUnavailable("process is overloaded")


class PromptDispatcher(CorkDispatcher[Any, Any]):
    """Gathers rows and hands them to ``score`` together, at most ``max_batch_size`` of them.

    ``score(rows)`` gives an answer for each row and does not wait for anything. A row whose answer is expected later
    than ``max_latency_ms`` after its arrival is shed: ``submit`` raises ServiceUnavailable.
    """

    def __init__(
        self, score: Callable[[list[Any]], Sequence[Any]], *, max_latency_ms: int, max_batch_size: int
    ) -> None:
        super().__init__(max_latency_ms, max_batch_size, fallback=_shed, get_batch_size=lambda _: 1)
        self.optimizer = PromptOptimizer(self.max_latency)
        self._score = score
        self._due = False

    async def submit(self, row: Any) -> Any:  # noqa: ANN401
        """The answer to ``row``, which may be scored with others."""
        future = self._loop.create_future()
        self._queue.append(Job(time.time(), row, future))
        if not self._due:
            self._due = True
            self._loop.call_soon(self._release)
        return await future

    def at_once(self, row: Any) -> Any:  # noqa: ANN401
        """The answer to ``row`` where there is nothing to gather it with, without a turn of the event loop."""
        started = time.time()
        answer = self._score([row])[0]
        self.optimizer.log_outbound(1, 0.0, time.time() - started)
        return answer

    def _release(self) -> None:
        self._due = False
        self._shed_late()
        jobs = [self._queue.popleft() for _ in range(min(len(self._queue), self.max_batch_size))]
        if self._queue:
            self._due = True
            self._loop.call_soon(self._release)
        if jobs:
            self._answer(jobs)

    def _shed_late(self) -> None:
        """BentoML's own rule: never a row alone, and of several the oldest while it would be answered too late."""
        now, model = time.time(), self.optimizer
        while len(self._queue) > 1:
            expected = now - self._queue[0].enqueue_time + model.o_a * len(self._queue) + model.o_b
            if expected < self.max_latency:
                return
            _settle(self._queue.popleft(), error=ServiceUnavailable("process is overloaded"))

    def _answer(self, jobs: list[Job[Any, Any]]) -> None:
        started = time.time()
        try:
            answers = self._score([job.data for job in jobs])
        except Exception as error:  # noqa: BLE001 - each caller is told, as BentoML's outbound_call does
            for job in jobs:
                _settle(job, error=error)
            return
        for job, answer in zip(jobs, answers, strict=True):
            _settle(job, answer)
        self.optimizer.log_outbound(len(jobs), started - jobs[0].enqueue_time, time.time() - started)


def _settle(job: Job[Any, Any], answer: Any = None, error: Exception | None = None) -> None:  # noqa: ANN401
    if job.future.done():  # its caller was cancelled
        return
    if error is None:
        job.future.set_result(answer)
    else:
        job.future.set_exception(error)
