"""Work on large batches in steps."""

import asyncio

import numpy as np
import pytest

from serving import io
from tests.monitoring.records import sent
from tests.steps import finished


@pytest.fixture
def clock(monkeypatch):
    """One that only the scoring moves: ``clock.row_seconds`` a row."""

    class Clock:
        now, row_seconds = 0.0, 0.0

        def perf_counter(self):
            return self.now

        def score(self, _model, rows):
            self.now += len(rows) * self.row_seconds
            self.sizes.append(len(rows))
            return rows[:, 0].tolist()

    clock = Clock()
    clock.sizes = []
    monkeypatch.setattr(io, "time", clock)
    return clock


@pytest.mark.parametrize("rows", [0, 1, 63, 64, 65, 1_000, 10_000])
@pytest.mark.parametrize("row_seconds", [1e-8, 1e-6, 1e-4])
def test_slices_give_every_score_in_order(clock, rows, row_seconds):
    """Whatever the size of the slices."""
    clock.row_seconds = row_seconds
    values = np.arange(2.0 * rows).reshape(rows, 2)
    assert finished(io.in_slices(sent(values, [""] * rows), clock.score)) == values[:, 0].tolist()


@pytest.mark.parametrize(("row_seconds", "settled"), [(2e-6, 250), (1e-5, 50), (1e-4, 16)])
def test_a_slice_takes_as_long_as_a_step_should(clock, row_seconds, settled):
    """The slower the forest the fewer rows, from the second slice on; of a slow one not fewer than pay."""
    clock.row_seconds = row_seconds
    finished(io.in_slices(sent(np.zeros((10_000, 1)), [""] * 10_000), clock.score))
    assert clock.sizes[0] == 64
    assert all(abs(size - settled) <= 1 for size in clock.sizes[3:-1])


def test_one_fast_slice_makes_the_next_no_more_than_twice_as_large(clock):
    """What was measured of a few rows may be off."""
    clock.row_seconds = 1e-9
    finished(io.in_slices(sent(np.zeros((10_000, 1)), [""] * 10_000), clock.score))
    assert clock.sizes[:4] == [64, 128, 256, 512]


def test_a_call_that_is_given_up_ends_its_work_at_once():
    """What the steps keep open is closed then, not when the garbage is looked through."""
    closed = []

    def steps():
        try:
            while True:
                yield
        finally:
            closed.append(True)

    async def run():
        work = steps()
        with pytest.raises(TimeoutError) as kept:
            await asyncio.wait_for(io.in_steps(work), 0.01)
        return work, kept, list(closed)

    assert asyncio.run(run())[2] == [True]
