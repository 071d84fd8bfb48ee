"""Who is refused at the door: those who would be answered too late, by what answers have taken."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.connection.door import Door
from serving.connection.turnable import BUSY, BUSY_LAST


def after(*turns, max_latency_seconds=1.0):
    """A door that has learnt from such turns: ``(how many, answers of each, seconds of each)``."""
    door = Door(max_latency_seconds)
    for times, answers, seconds in turns:
        for _ in range(times):
            door.learn(answers, seconds)
    return door


@pytest.mark.parametrize(("answers", "turn_seconds"), [(128, 0.001), (128, 0.01), (1, 0.02)])
def test_as_many_may_wait_as_can_be_answered_in_time(answers, turn_seconds):
    """A second's worth of calls, less a turn in which one lies unread and another at whose end its answer goes out."""
    door = after((1_000, answers, turn_seconds))
    assert door.most == pytest.approx((1 - 2 * turn_seconds) / (turn_seconds / answers), rel=1e-4)


def test_nothing_is_known_at_first_and_much_let_in():
    """Ten thousand: what the first burst costs is learnt from it."""
    assert Door(1.0).most == 10_000
    assert after((3, 128, 0.064)).most == pytest.approx((1 - 2 * 0.064) / 0.0005, rel=0.01)


@pytest.mark.parametrize("times", [1, 2])
def test_the_first_calls_of_a_worker_say_little(times):
    """A cold turn or two, with one answer in 60 ms, turn nobody away."""
    assert after((times, 1, 0.06)).most > 8_000


def test_a_stop_of_the_machine_is_not_what_the_next_calls_cost():
    """Three seconds in which nothing was answered change nothing."""
    usual = after((1_000, 10, 0.01))
    assert after((1_000, 10, 0.01), (1, 10, 3.0)).most == pytest.approx(usual.most, rel=0.05)


def test_work_that_has_become_slow_is_known_soon():
    """After some measures a tenfold cost lets in a tenth."""
    assert after((1_000, 10, 0.01), (10, 10, 0.1)).most == 80


def test_one_is_always_let_in():
    """A model that takes longer than the bound answers one call at a time."""
    assert after((10, 1, 0.2), max_latency_seconds=0.01).most == 1


def test_what_was_learnt_from_an_overload_is_forgotten_when_nobody_waits():
    """A door that lets in one at a time learns nothing of how many it could: it tries a few more, up to the scoring."""
    door = after((50, 1, 1.1))
    assert door.most == 1
    for _ in range(2_000):
        door.rest(1e-5)
    assert door.most > 1_000
    for _ in range(100_000):
        door.rest(0.01)
    few = after((50, 1, 1.1))
    for _ in range(100_000):
        few.rest(0.01)
    assert few.most == pytest.approx(100, abs=3)


def test_pauses_take_half_of_the_time_at_the_most():
    """Nobody is answered sooner for calls that are refused because of them."""
    assert after((1_000, 100, 0.4), max_latency_seconds=0.05).most == int(0.025 / 0.004)


@given(st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 10)), max_size=50), st.floats(0.01, 60))
def test_whatever_is_learnt_there_is_a_number(turns, bound):
    """And it is 1 at least."""
    assert after(*((1, *turn) for turn in turns), max_latency_seconds=bound).most >= 1


def test_each_who_asks_hears_of_those_turned_away_once():
    """What one was told is news to the other."""
    door = Door(1.0)
    one, other = door.news(), door.news()
    door.refused += 3
    assert one() == 3
    door.refused += 1
    assert (one(), one(), other(), other()) == (1, 0, 4, 0)


@pytest.mark.parametrize("answer", [BUSY, BUSY_LAST])
def test_the_answer_is_whole(answer):
    """A 503 that says when to come again, in the shape of every error."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"retry-after: 1" in head.split(b"\r\n")
    assert b"content-length: %d" % len(body) in head.split(b"\r\n")
    assert (b"connection: close" in head) == (answer is BUSY_LAST)
    assert set(json.loads(body)) == {"error", "details"}
