"""One of many does it, all are told, and a dead one is replaced."""

import threading

from monitoring import database
from monitoring.storage import turns


def test_one_of_many_gets_the_turn(url, engine):
    """Eight at once, on connections of their own."""
    others, got = [database.connect(url) for _ in range(8)], []
    barrier = threading.Barrier(len(others))

    def ask(one):
        barrier.wait()
        got.append(turns.take(one, "a", 100.0, 30.0).is_mine)

    threads = [threading.Thread(target=ask, args=(one,)) for one in others]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(got) == [False] * 7 + [True]


def test_what_was_found_is_told_until_it_is_due_again(engine):
    """Then it is somebody's turn, who is told as well."""
    assert turns.take(engine, "a", 100.0, 30.0) == turns.Turn(True, None)
    turns.done(engine, "a", 200.0, "found")
    assert turns.take(engine, "a", 199.0, 30.0) == turns.Turn(False, "found")
    assert turns.take(engine, "a", 201.0, 30.0) == turns.Turn(True, "found")


def test_who_dies_is_replaced(engine):
    """After the lease, and not before."""
    assert turns.take(engine, "a", 100.0, 30.0).is_mine
    assert not turns.take(engine, "a", 129.0, 30.0).is_mine
    assert turns.take(engine, "a", 131.0, 30.0).is_mine


def test_who_fails_keeps_what_was_found_before(engine):
    """And leaves the turn to the next."""
    turns.take(engine, "a", 100.0, 30.0)
    turns.done(engine, "a", 101.0, "found")
    turns.take(engine, "a", 102.0, 30.0)
    turns.done(engine, "a", 103.0)
    assert turns.take(engine, "a", 104.0, 30.0) == turns.Turn(True, "found")


def test_two_questions_do_not_stand_in_each_others_way(engine):
    """Replicas with other settings ask something else."""
    assert turns.take(engine, "a", 100.0, 30.0).is_mine
    assert turns.take(engine, "b", 100.0, 30.0).is_mine


def test_a_turn_that_a_wrong_clock_put_off_is_taken(engine):
    """A replica whose clock is a day ahead does not keep all others from asking for a day."""
    turns.done(engine, "a", 100.0)
    turns.take(engine, "a", 86_500.0, 30.0)
    assert turns.take(engine, "a", 200.0, 30.0).is_mine
