"""Who is refused at the door: those who would be answered too late, by what answers have taken."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.connection.door import BUSY, BUSY_LAST, SPAN_SECONDS, SPANS, Door


class Clock:
    """A time that stands still unless it is told to go on."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def served(door, clock, calls, seconds_each, at_once=1):
    """Answer ``calls`` calls, ``at_once`` in each turn of the loop, while others wait."""
    for _ in range(calls // at_once):
        for _ in range(at_once):
            door.enter()
        clock.now += seconds_each * at_once
        for _ in range(at_once):
            door.leave()


def behind_a_queue(max_latency_seconds=1.0):
    """A door with ten calls that wait for ever, so that there is always somebody."""
    clock = Clock()
    door = Door(max_latency_seconds, clock)
    for _ in range(10):
        door.enter()
    return door, clock


@pytest.mark.parametrize("seconds_each", [1e-5, 1e-3, 0.02])
def test_as_many_may_wait_as_can_be_answered_in_time(seconds_each):
    """A second's worth of calls, less what one lies unread."""
    door, clock = behind_a_queue()
    served(
        door,
        clock,
        calls=int(SPANS * 2 * max(SPAN_SECONDS, seconds_each * 2) / seconds_each),
        seconds_each=seconds_each,
    )
    assert door.most == pytest.approx(1 / seconds_each, rel=0.05)


def test_a_call_may_lie_unread_for_a_turn_and_is_answered_at_the_end_of_another():
    """Answers that go out together, 128 every 100 ms, leave 800 ms for those before the next."""
    door, clock = behind_a_queue()
    served(door, clock, calls=128 * 30, seconds_each=0.1 / 128, at_once=128)
    assert door.most == pytest.approx(0.8 / (0.1 / 128), rel=0.05)


def test_time_without_calls_is_no_cost():
    """A service that was idle for an hour lets in as many as before."""
    clock = Clock()
    door = Door(1.0, clock)
    for _ in range(10 * SPANS):
        clock.now += 3_600
        for _ in range(200):
            door.enter()
        for _ in range(200):
            clock.now += 0.001
            door.leave()
    assert door.most == pytest.approx(1_000, rel=0.05)


def test_a_pause_of_the_machine_is_not_what_the_next_calls_cost():
    """Three seconds in which nothing was answered change nothing."""
    door, clock = behind_a_queue()
    served(door, clock, calls=1_000, seconds_each=0.001)
    before = door.most
    clock.now += 3
    served(door, clock, calls=100, seconds_each=0.001)
    assert door.most == pytest.approx(before, rel=0.05)


def test_work_that_has_become_slow_is_known_soon():
    """After some spans a tenfold cost lets in a tenth."""
    door, clock = behind_a_queue()
    served(door, clock, calls=1_000, seconds_each=0.001)
    served(door, clock, calls=100, seconds_each=0.01)
    assert door.most == pytest.approx(100, rel=0.1)


def test_one_is_always_let_in():
    """A model that takes longer than the bound answers one call at a time."""
    door, clock = behind_a_queue(max_latency_seconds=0.01)
    served(door, clock, calls=50, seconds_each=0.2)
    assert door.most == 1


@given(st.lists(st.sampled_from(["enter", "leave", "time"]), max_size=300))
def test_it_counts_whatever_comes(steps):
    """Calls under way are those that came and did not go, and at least one is always let in."""
    clock, waiting = Clock(), 0
    door = Door(0.5, clock)
    for step in steps:
        if step == "time":
            clock.now += 0.03
        elif step == "enter":
            door.enter()
            waiting += 1
        elif waiting:
            door.leave()
            waiting -= 1
        assert door.waiting == waiting
        assert door.most >= 1


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
