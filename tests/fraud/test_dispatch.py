"""The batcher: whatever is there is scored together, nobody waits for others, nobody gets another's answer."""

import asyncio
import inspect
import time

from bentoml._internal.marshal import dispatcher as bentos
from bentoml.exceptions import ServiceUnavailable
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.dispatch import PromptDispatcher, PromptOptimizer


class Scorer:
    """Doubles each row; keeps the batches it was given."""

    def __init__(self, seconds=0.0):
        self.batches, self.seconds = [], seconds

    def __call__(self, rows):
        self.batches.append(list(rows))
        time.sleep(self.seconds)
        return [2 * row for row in rows]


def dispatcher(score, max_latency_ms=1000, max_batch_size=128):
    return PromptDispatcher(score, max_latency_ms=max_latency_ms, max_batch_size=max_batch_size)


def together(batcher, rows):
    """Submit rows in one turn of the loop; answers or exceptions in their order."""

    async def run():
        return await asyncio.gather(*(batcher.submit(row) for row in rows), return_exceptions=True)

    return asyncio.run(run())


def test_rows_that_arrive_together_are_scored_together():
    """One batch in the order of arrival, and each caller gets the answer of its own row."""
    score = Scorer()
    assert together(dispatcher(score), range(50)) == [2 * row for row in range(50)]
    assert score.batches == [list(range(50))]


def test_a_batch_is_at_most_as_large_as_allowed():
    """What is more goes into the next ones."""
    score = Scorer()
    together(dispatcher(score, max_batch_size=20), range(50))
    assert [len(batch) for batch in score.batches] == [20, 20, 10]


def test_a_lone_caller_does_not_wait_after_a_burst():
    """BentoML's own optimizer would hold it back for as long as the calls of the burst waited."""
    score = Scorer()
    batcher = dispatcher(score)

    async def run():
        for _ in range(20):
            await asyncio.gather(*(batcher.submit(row) for row in range(128)))
        turns, done = 0, asyncio.ensure_future(batcher.submit(1))
        while not done.done():
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert asyncio.run(run()) <= 4
    assert batcher.optimizer.wait == 0


def test_a_row_with_nothing_to_gather_it_with_is_scored_at_once():
    """Without a turn of the loop; it counts among what the optimizer learns from."""
    score = Scorer()
    batcher = dispatcher(score)

    async def run():
        return [batcher.at_once(row) for row in range(10)]

    assert asyncio.run(run()) == [2 * row for row in range(10)]
    assert score.batches == [[row] for row in range(10)]
    assert {size for size, _, _ in batcher.optimizer.o_stat} == {1}


def test_what_arrives_while_a_batch_is_scored_is_the_next_batch():
    """Batches form under load without anybody holding rows back."""
    score = Scorer()
    batcher = dispatcher(score)

    async def caller(start):
        return [await batcher.submit(row) for row in range(start, start + 5)]

    async def run():
        return await asyncio.gather(*(caller(100 * number) for number in range(8)))

    assert asyncio.run(run())[3] == [600, 602, 604, 606, 608]
    assert [len(batch) for batch in score.batches] == [8] * 5


def test_a_failure_is_everybodys_of_its_batch_and_nobody_elses():
    """Each caller of the batch gets the exception; the next batch is served."""

    def score(rows):
        if -1 in rows:
            raise ArithmeticError("no such row")
        return rows

    batcher = dispatcher(score)

    async def run():
        first = await asyncio.gather(*(batcher.submit(row) for row in (1, -1, 2)), return_exceptions=True)
        return first, await batcher.submit(3)

    failed, answered = asyncio.run(run())
    assert [type(one) for one in failed] == [ArithmeticError] * 3
    assert answered == 3


def test_a_caller_who_is_cancelled_costs_no_other_its_answer():
    """Its row may be scored; its answer goes nowhere."""
    batcher = dispatcher(Scorer())

    async def run():
        tasks = [asyncio.ensure_future(batcher.submit(row)) for row in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third = asyncio.run(run())
    assert (first, third) == (0, 4)
    assert isinstance(second, asyncio.CancelledError)


def test_the_oldest_are_shed_when_they_would_be_answered_too_late():
    """Rows that a busy loop has kept waiting for longer than allowed get ServiceUnavailable, the rest their answers."""
    batcher = dispatcher(Scorer(), max_latency_ms=50)

    async def run():
        futures = [asyncio.get_running_loop().create_future() for _ in range(4)]
        now = time.time()
        for age, future in zip((0.2, 0.1, 0.0, 0.0), futures, strict=True):
            batcher._queue.append(bentos.Job(now - age, 1, future))
        batcher._release()
        return await asyncio.gather(*futures, return_exceptions=True)

    first, second, *rest = asyncio.run(run())
    assert isinstance(first, ServiceUnavailable)
    assert isinstance(second, ServiceUnavailable)
    assert rest == [2, 2]


def test_a_row_alone_is_never_shed():
    """However late it is: there is nobody whom its refusal would help."""
    batcher = dispatcher(Scorer(), max_latency_ms=50)

    async def run():
        future = asyncio.get_running_loop().create_future()
        batcher._queue.append(bentos.Job(time.time() - 1, 7, future))
        batcher._release()
        return await future

    assert asyncio.run(run()) == 14


def test_the_first_burst_is_not_shed():
    """BentoML's first guess of a row's cost is a fifteenth of the latency allowed; ours is nothing until measured."""
    assert together(dispatcher(Scorer(), max_latency_ms=1000), range(1000)) == [2 * row for row in range(1000)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(), max_size=30), max_size=8), st.integers(1, 7))
def test_every_row_is_answered_once_with_its_own_answer(turns, size):
    """Whatever arrives in whatever turns, in batches of whatever size."""
    score = Scorer()
    batcher = dispatcher(score, max_batch_size=size)

    async def run():
        tasks = []
        for rows in turns:
            tasks += [asyncio.ensure_future(batcher.submit(row)) for row in rows]
            await asyncio.sleep(0)
        return await asyncio.gather(*tasks)

    given_rows = [row for rows in turns for row in rows]
    assert asyncio.run(run()) == [2 * row for row in given_rows]
    assert [row for batch in score.batches for row in batch] == given_rows


def test_bentomls_names_are_what_the_dispatcher_builds_on():
    """After an upgrade of BentoML: does fraud/dispatch.py still override what it means to?"""
    optimizer = bentos.Optimizer(1.0)
    assert {"o_a", "o_b", "wait"} <= set(vars(optimizer)), "the optimizer's estimates have other names"
    assert list(inspect.signature(optimizer.log_outbound).parameters) == ["n", "wait", "duration"]
    assert [field.name for field in bentos.Job.__attrs_attrs__] == ["enqueue_time", "data", "future", "dispatch_time"]
    stock = bentos.CorkDispatcher(1000, 8, fallback=lambda: None)
    for name in ("max_latency", "max_batch_size", "optimizer", "_queue"):
        assert hasattr(stock, name), f"CorkDispatcher.{name} is gone"
    source = inspect.getsource(bentos.CorkDispatcher.controller)
    assert "latency_0 = w0 + a * n + b" in source, "BentoML sheds by another rule: look at _shed_late"
    assert "self.optimizer.wait" in source, "BentoML no longer waits: PromptOptimizer may go"
    assert PromptOptimizer(1.0).wait == 0
