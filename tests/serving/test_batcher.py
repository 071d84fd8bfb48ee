"""The batcher: whatever is there is scored together, nobody waits for others, nobody gets another's answer."""

import asyncio
import time
from contextvars import ContextVar

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from serving.batcher import AT_ONCE, TURNS, Batcher, LinearCost
from serving.refuse import RefusedError


class Scorer:
    """Doubles each row; keeps the batches it was given."""

    def __init__(self, seconds=0.0):
        self.batches, self.seconds = [], seconds

    def __call__(self, rows):
        self.batches.append(list(rows))
        time.sleep(self.seconds)
        return [2 * row for row in rows]


class LaterScorer(Scorer):
    """The same, asked of something that takes a while."""

    async def _answer(self, answers):
        await asyncio.sleep(0.002)
        return answers

    def __call__(self, rows):
        return self._answer(super().__call__(rows))


class HeldScorer(LaterScorer):
    """That takes until ``let_go`` is set, or a batch is told to fail; keeps how many were under way at once."""

    def __init__(self):
        super().__init__()
        self.let_go, self.under_way, self.most, self._fails = asyncio.Event(), 0, 0, {}

    def fail(self, batch):
        """Have the batch of this number fail."""
        self._fails[batch].cancel()

    async def _answer(self, answers):
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        held = self._fails[len(self._fails)] = asyncio.ensure_future(self.let_go.wait())
        await asyncio.wait([held])
        self.under_way -= 1
        if held.cancelled():
            raise ArithmeticError("told to fail")
        return answers


async def turns():
    """Of the loop, as many as a batch needs to be handed over."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture(params=[Scorer, LaterScorer], ids=["at once", "awaited"])
def score(request):
    """What scores at once, and what has to be awaited."""
    return request.param()


def made(score, max_latency_ms=1000, max_batch_size=128):
    return Batcher(score, max_latency_seconds=max_latency_ms / 1e3, max_batch_size=max_batch_size)


def together(batcher, rows):
    """Submit rows in one turn of the loop; answers or exceptions in their order."""

    async def run():
        return await asyncio.gather(*(batcher.submit(row) for row in rows), return_exceptions=True)

    return asyncio.run(run())


def test_rows_that_arrive_together_are_scored_together(score):
    """One batch in the order of arrival, and each caller gets the answer of its own row."""
    assert together(made(score), range(50)) == [2 * row for row in range(50)]
    assert score.batches == [list(range(50))]


def test_a_batch_is_at_most_as_large_as_allowed(score):
    """What is more goes into the next ones."""
    together(made(score, max_batch_size=20), range(50))
    assert [len(batch) for batch in score.batches] == [20, 20, 10]


def test_a_lone_caller_does_not_wait_after_a_burst():
    """BentoML's own optimizer would hold it back for as long as the calls of the burst waited."""
    score = Scorer()
    batcher = made(score)

    async def run():
        for _ in range(20):
            await asyncio.gather(*(batcher.submit(row) for row in range(128)))
        turns, done = 0, asyncio.ensure_future(batcher.submit(1))
        while not done.done():
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert asyncio.run(run()) <= 4


def test_a_row_alone_is_scored_at_once(score):
    """By itself, and without waiting for a turn of the loop where scoring does not."""
    batcher = made(score)

    async def run():
        return [await batcher.submit(row, alone=True) for row in range(10)]

    assert asyncio.run(run()) == [2 * row for row in range(10)]
    assert score.batches == [[row] for row in range(10)]


def test_a_row_alone_takes_no_turn_of_the_loop():
    """Its coroutine ends at the first step."""
    with pytest.raises(StopIteration) as answer:
        made(Scorer()).submit(4, alone=True).send(None)
    assert answer.value.value == 8


@pytest.mark.parametrize("alone", [False, True])
def test_while_a_batch_is_awaited_the_next_goes_and_what_comes_then_gathers(alone):
    """Only so many are awaited; a row that thinks itself alone waits its turn too."""
    score = HeldScorer()
    batcher = made(score)

    async def run():
        answers = []
        for start in range(0, 20, 2):
            answers += [asyncio.ensure_future(batcher.submit(row, alone=alone)) for row in (start, start + 1)]
            await turns()
        gathered = list(score.batches)
        score.let_go.set()
        return gathered, await asyncio.gather(*answers)

    gathered, answers = asyncio.run(run())
    assert gathered == ([[0], [1]] if alone else [[0, 1], [2, 3]])
    assert answers == [2 * row for row in range(20)]
    assert score.batches == [*gathered, list(range(sum(map(len, gathered)), 20))]
    assert score.most == AT_ONCE


def test_a_batch_that_ends_makes_room_for_one():
    """Whatever ended it: an answer, or an error."""
    score = HeldScorer()
    batcher = made(score)

    async def run():
        first = [asyncio.ensure_future(batcher.submit(row, alone=True)) for row in (0, -1)]
        await turns()
        waiting = asyncio.ensure_future(batcher.submit(5))
        await turns()
        assert score.batches == [[0], [-1]]
        score.fail(1)
        await turns()
        assert score.batches == [[0], [-1], [5]]
        score.let_go.set()
        return await asyncio.gather(*first, waiting, return_exceptions=True)

    first, failed, later = asyncio.run(run())
    assert (first, later) == (0, 10)
    assert isinstance(failed, ArithmeticError)


def test_what_is_more_than_a_batch_is_handed_over_too():
    """At once, where as many wait as are awaited: nobody has to come or be answered first."""
    score = HeldScorer()
    batcher = made(score, max_batch_size=4)

    async def run():
        answers = [asyncio.ensure_future(batcher.submit(row)) for row in range(9)]
        await turns()
        gathered = list(score.batches)
        score.let_go.set()
        return gathered, await asyncio.gather(*answers)

    assert asyncio.run(run()) == ([[0, 1, 2, 3], [4, 5, 6, 7]], [2 * row for row in range(9)])


def test_a_lone_caller_who_is_cancelled_makes_room():
    """What waited for its answer waits no longer, though nobody is told it."""
    score = HeldScorer()
    batcher = made(score)

    async def run():
        lone = [asyncio.ensure_future(batcher.submit(row, alone=True)) for row in range(2)]
        await turns()
        waiting = asyncio.ensure_future(batcher.submit(2))
        await turns()
        assert score.batches == [[0], [1]]
        lone[0].cancel()
        await turns()
        assert score.batches == [[0], [1], [2]]
        score.let_go.set()
        return await asyncio.gather(*lone, waiting, return_exceptions=True)

    cancelled, *answers = asyncio.run(run())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert answers == [2, 4]


def test_what_arrives_while_a_batch_is_scored_is_the_next_batch():
    """Batches form under load without anybody holding rows back."""
    score = Scorer()
    batcher = made(score)

    async def caller(start):
        return [await batcher.submit(row) for row in range(start, start + 5)]

    async def run():
        return await asyncio.gather(*(caller(100 * number) for number in range(8)))

    assert asyncio.run(run())[3] == [600, 602, 604, 606, 608]
    assert [len(batch) for batch in score.batches] == [8] * 5


@pytest.mark.parametrize("awaited", [False, True])
def test_a_failure_is_everybodys_of_its_batch_and_nobody_elses(awaited):
    """Each caller of the batch gets the exception; the next batch is served."""

    def score(rows):
        if -1 in rows:
            raise ArithmeticError("no such row")
        return rows

    async def later(rows):
        return score(rows)

    batcher = made(later if awaited else score)

    async def run():
        first = await asyncio.gather(*(batcher.submit(row) for row in (1, -1, 2)), return_exceptions=True)
        return first, await batcher.submit(3)

    failed, answered = asyncio.run(run())
    assert [type(one) for one in failed] == [ArithmeticError] * 3
    assert answered == 3


def test_a_caller_who_is_cancelled_costs_no_other_its_answer():
    """Its row may be scored; its answer goes nowhere."""
    batcher = made(Scorer())

    async def run():
        tasks = [asyncio.ensure_future(batcher.submit(row)) for row in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third = asyncio.run(run())
    assert (first, third) == (0, 4)
    assert isinstance(second, asyncio.CancelledError)


def aged(batcher, ages):
    """Futures of rows that a busy loop has kept waiting for so many seconds."""
    futures = [asyncio.get_running_loop().create_future() for _ in ages]
    now = time.perf_counter()
    batcher._queue.extend((now - age, 1, future) for age, future in zip(ages, futures, strict=True))
    batcher._release()
    return futures


def test_the_oldest_are_shed_when_they_would_be_answered_too_late():
    """Rows that a busy loop has kept waiting for longer than allowed are refused, the rest get their answers."""
    batcher = made(Scorer(), max_latency_ms=5_000)

    async def run():
        return await asyncio.gather(*aged(batcher, (20, 10, 0, 0)), return_exceptions=True)

    first, second, *rest = asyncio.run(run())
    for shed in (first, second):
        assert isinstance(shed, RefusedError)
        assert (shed.status, shed.reason) == (503, "overloaded")
    assert first is not second, "an exception that is raised again keeps growing its traceback"
    assert rest == [2, 2]


def test_what_scoring_will_take_counts():
    """Rows that have not waited are shed while there are more than can be scored in time."""
    batcher = made(Scorer(), max_latency_ms=1_000)
    batcher._cost = learnt([(rows, 0.3 * rows) for rows in (1, 11, 21)])

    async def run():
        return await asyncio.gather(*aged(batcher, [0] * 10), return_exceptions=True)

    assert [isinstance(one, RefusedError) for one in asyncio.run(run())] == [True] * 7 + [False] * 3


def test_rows_that_are_not_of_the_next_batch_cost_it_nothing():
    """A long queue is no reason to shed the oldest, who are answered with the next batch."""
    batcher = made(Scorer(), max_latency_ms=1_000, max_batch_size=3)
    batcher._cost = learnt([(rows, 0.3 * rows) for rows in (1, 11, 21)])

    async def run():
        return await asyncio.gather(*aged(batcher, [0] * 10))

    assert asyncio.run(run()) == [2] * 10


def test_turns_are_told_while_rows_wait(score):
    """From the end of a batch to the end of the next, with all that is done between; none where nobody waited."""
    told = []
    batcher = Batcher(
        score, max_latency_seconds=9, max_batch_size=4, turned=lambda rows, seconds: told.append((rows, seconds > 0))
    )
    assert together(batcher, range(10)) == [2 * row for row in range(10)]
    assert told == ([(4, True), (2, True)] if type(score) is Scorer else [(4, True)])
    told.clear()
    assert together(batcher, range(3)) == [0, 2, 4]
    assert told == []


def test_what_waits_for_answers_is_no_measure_of_what_can_be_done():
    """A batch that is awaited takes about as long with more rows: few callers must not look like an overload."""
    score, told = LaterScorer(), []
    batcher = Batcher(score, max_latency_seconds=9, max_batch_size=8, turned=lambda *turn: told.append(turn))

    async def caller():
        return [await batcher.submit(row) for row in range(20)]

    async def run():
        return await asyncio.gather(*(caller() for _ in range(5)))

    assert asyncio.run(run()) == [[2 * row for row in range(20)]] * 5
    assert told == []


def test_when_nobody_waits_after_a_batch_that_is_told(score):
    """With what a row takes in a large one; nothing is known of that at first."""
    rests = []
    batcher = Batcher(score, max_latency_seconds=9, max_batch_size=4, rested=rests.append)
    assert together(batcher, range(10)) == [2 * row for row in range(10)]
    assert rests == [0.0]


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "from the queue"])
def test_what_is_told_at_rest_knows_of_the_batch_that_just_ended(alone):
    """The cost is noted before what waits goes on, whichever way a row went."""
    rests = []
    batcher = Batcher(LaterScorer(), max_latency_seconds=9, max_batch_size=4, rested=rests.append)

    async def run():
        for row in range(LinearCost.FIT_EVERY):
            await batcher.submit(row, alone=alone)

    asyncio.run(run())
    assert not any(rests[:-1])
    assert rests[-1] > 0


@pytest.mark.parametrize("come", [0, 5, 10_000])
def test_connections_are_let_in_before_the_next_batch(come):
    """A turn of the loop for each that comes, and one more; not for ever."""
    connections, turns, scorer = 0, 0, Scorer()
    batcher = Batcher(scorer, max_latency_seconds=1, max_batch_size=8, connections=lambda: connections)

    async def run():
        nonlocal connections, turns
        waiting = asyncio.ensure_future(batcher.submit(1))
        await asyncio.sleep(0)
        while not waiting.done():
            turns += 1
            connections = min(come, connections + 1)
            await asyncio.sleep(0)
        return await waiting

    assert asyncio.run(run()) == 2
    assert min(come, TURNS) <= turns <= min(come, TURNS) + 3


def test_a_row_that_waits_by_itself_is_never_shed():
    """However late it is: there is nobody whom its refusal would help."""
    batcher = made(Scorer(), max_latency_ms=50)

    async def run():
        return await aged(batcher, [1])[0]

    assert asyncio.run(run()) == 2


def test_the_first_burst_is_not_shed():
    """A row costs nothing until a batch was measured."""
    assert together(made(Scorer(), max_latency_ms=1000), range(1000)) == [2 * row for row in range(1000)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(), max_size=30), max_size=8), st.integers(1, 7))
def test_every_row_is_answered_once_with_its_own_answer(turns, size):
    """Whatever arrives in whatever turns, in batches of whatever size."""
    score = Scorer()
    batcher = made(score, max_batch_size=size)

    async def run():
        tasks = []
        for rows in turns:
            tasks += [asyncio.ensure_future(batcher.submit(row)) for row in rows]
            await asyncio.sleep(0)
        return await asyncio.gather(*tasks)

    given_rows = [row for rows in turns for row in rows]
    assert asyncio.run(run()) == [2 * row for row in given_rows]
    assert [row for batch in score.batches for row in batch] == given_rows


def learnt(batches):
    """A cost that has seen ``(rows, seconds)``, each as often as makes a whole number of fits."""
    cost = LinearCost()
    for _ in range(LinearCost.FIT_EVERY):
        for rows, seconds in batches:
            cost.note(rows, seconds)
    return cost


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1e-3), st.floats(0, 1e-2), st.lists(st.integers(1, 500), min_size=3, max_size=30, unique=True))
def test_a_linear_cost_is_learnt(each, always, sizes):
    """From batches of unlike sizes on, what exactly linear work takes is known."""
    assume(sorted(sizes)[-2] >= 2 * sorted(sizes)[0] and sorted(sizes)[-1] >= 2 * sorted(sizes)[1])
    cost = learnt([(size, each * size + always) for size in sizes])
    for size in (1, 64, 500):
        assert cost.seconds(size) == pytest.approx(each * size + always, rel=1e-2, abs=1e-6)


@pytest.mark.parametrize("size", [1, 7, 128])
def test_batches_of_one_size_split_the_cost_as_the_shortest_solution(size):
    """What numpy's least squares gives where many answers fit."""
    (each, always), *_ = np.linalg.lstsq(np.array([[size, 1.0]] * 20), np.full(20, 0.02), rcond=None)
    assert learnt([(size, 0.02)]).seconds(50) == pytest.approx(each * 50 + always, rel=1e-2)


@pytest.mark.parametrize("at", [0, 1, 17, 60])
def test_one_pause_of_the_machine_is_not_a_cost(at):
    """Wherever it comes, even in the first batch: what follows is not shed for it."""
    cost, most = LinearCost(), 0.0
    for number in range(200):
        rows = 1 + number % 20
        cost.note(rows, 1.5 if number == at else 1e-5 * rows + 5e-5)
        most = max(most, cost.seconds(40))
    assert most < 0.01


def test_work_that_has_become_slow_is_known_after_some_batches():
    """Within as many as are kept, and quick work again likewise."""
    cost = LinearCost()
    for seconds in (0.001, 0.01, 0.001):
        for rows in [1, 10, 20] * 22:
            cost.note(rows, seconds * rows)
        assert cost.seconds(10) == pytest.approx(10 * seconds, rel=0.05)


@pytest.mark.parametrize("waves", [2, 5, 20])
def test_a_pause_sheds_nobody_who_comes_after_it(waves):
    """Rows that come together after one slow batch are all answered."""

    class Pausing(Scorer):
        def __call__(self, rows):
            time.sleep(0.3 if not self.batches else 0)
            return super().__call__(rows)

    batcher = made(Pausing(), max_latency_ms=100)

    async def run():
        for _ in range(100):
            yield await asyncio.gather(*(batcher.submit(row) for row in range(waves)), return_exceptions=True)

    async def answers():
        return [answer async for answer in run()]

    assert asyncio.run(answers()) == [[2 * row for row in range(waves)]] * 100


class Ended(BaseException):
    """As KeyboardInterrupt is none that is caught by accident."""


@pytest.mark.parametrize("awaited", [False, True])
@pytest.mark.parametrize("odd", [lambda rows: rows[:-1], lambda _: None, lambda _: 5, lambda _: Ended(), iter])
def test_an_odd_answer_stops_nobody_for_ever(odd, awaited):
    """Too few answers, none, or an end of the scoring: those callers are told, and the next row is answered."""
    times = []

    def score(rows):
        times.append(rows)
        answer = odd(rows) if len(times) == 1 else rows
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def later(rows):
        return score(rows)

    batcher = made(later if awaited else score)

    async def run():
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        told = await asyncio.wait_for(
            asyncio.gather(*(batcher.submit(row) for row in range(3)), return_exceptions=True), 5
        )
        return told, await asyncio.wait_for(batcher.submit(3), 5)

    told, answered = asyncio.run(run())
    assert all(isinstance(one, Exception) for one in told)
    assert answered == 3


def test_nothing_is_known_at_first():
    """And so nothing is shed."""
    assert LinearCost().seconds(1000) == 0.0


def test_a_batch_bears_no_callers_context():
    """What is said while many are scored is about none of them; a chain of batches keeps no call's for ever."""
    call, seen = ContextVar("call", default="none"), []

    def score(rows):
        seen.append(call.get())
        return rows

    async def one(batcher, name):
        call.set(name)
        return await batcher.submit(name)

    async def run():
        batcher = made(score, max_batch_size=2)
        await asyncio.gather(*(one(batcher, f"call {number}") for number in range(6)))

    asyncio.run(run())
    assert seen == ["none"] * 3
