"""Time and memory are kept."""

import numpy as np
import pytest

from fraud.errors import FraudError
from training.tuning import budget
from training.tuning.budget import Budget, CutError


def test_time_ends_where_what_is_reserved_begins():
    """By the clock that is given."""
    now = [100.0]
    limits = Budget(10, 1e12, clock=lambda: now[0])
    now[0] = 107.0
    limits.check()
    limits.reserve = 4.0
    assert not limits.is_left
    with pytest.raises(CutError, match="time"):
        limits.check()


def test_memory_ends_a_trial():
    """And refuses to begin where the rows take it all."""
    limits = Budget(10, 5, in_use=lambda: 6)
    with pytest.raises(CutError, match="memory"):
        limits.check()
    with pytest.raises(FraudError, match="--memory-gb"):
        limits.check_start()
    Budget(10, 7, in_use=lambda: 6).check_start()


def test_memory_is_that_of_the_process():
    """An array counts while it is there, and not when it was given back."""
    before = budget.memory_in_use()
    array = np.ones(20_000_000)
    assert budget.memory_in_use() - before > 100e6
    del array
    budget.release()
    assert budget.memory_in_use() - before < 100e6


def test_the_budget_is_as_stated_or_what_is_free():
    """In gigabytes of a thousand million bytes."""
    assert budget.memory_to_use(2.5) == 2.5e9
    assert budget.memory_to_use(None) > budget.memory_in_use()
