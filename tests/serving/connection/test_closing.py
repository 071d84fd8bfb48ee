"""How connections end: what is dropped of callers who send in vain is read a little at a time."""

import pytest

from serving.connection.closing import LINGER_BYTES, LONGEST_PAUSE_SECONDS, READS_A_SECOND, Dropping


class Connection:
    """Its own transport and loop: what is asked of them is kept."""

    def __init__(self):
        self.transport = self.loop = self
        self.dropped, self.reads, self.ended, self.later = 0, True, False, []

    def is_closing(self):
        return self.ended

    def abort(self):
        self.ended = True

    def pause_reading(self):
        self.reads = False

    def resume_reading(self):
        assert not self.ended, "uvloop raises an error"
        self.reads = True

    def call_later(self, seconds, work, *arguments):
        self.later.append((seconds, work, arguments))

    def wait(self):
        """Until all pauses are over; the seconds of the last."""
        seconds = 0
        while self.later:
            seconds, work, arguments = self.later.pop(0)
            work(*arguments)
        return seconds


@pytest.mark.parametrize(("connections", "pause"), [(1, 1 / READS_A_SECOND), (5, 5 / READS_A_SECOND)])
def test_the_more_send_in_vain_the_longer_each_waits(connections, pause):
    """So that all of them together are read as often as one."""
    dropping, every = Dropping(), [Connection() for _ in range(connections)]
    for connection in every:
        dropping.take(connection, 10)
        assert not connection.reads
    assert every[-1].wait() == pytest.approx(pause)
    assert every[-1].reads


def test_nobody_waits_for_long():
    """Of thousands each is read a few times a second: their answers have to arrive."""
    dropping, every = Dropping(), [Connection() for _ in range(1_000)]
    for connection in every:
        dropping.pause(connection)
    assert every[-1].wait() == LONGEST_PAUSE_SECONDS


def test_pauses_that_are_over_count_no_more():
    """The next caller waits as the first did."""
    dropping, first, next_one = Dropping(), Connection(), Connection()
    for _ in range(50):
        dropping.pause(first)
        first.wait()
    dropping.pause(next_one)
    assert next_one.wait() == pytest.approx(1 / READS_A_SECOND)


def test_who_sends_for_ever_is_cut_off():
    """Beyond LINGER_BYTES; a connection that has ended is neither paused nor resumed."""
    dropping, connection = Dropping(), Connection()
    dropping.take(connection, LINGER_BYTES)
    assert not connection.ended
    dropping.take(connection, 1)
    assert connection.ended
    dropping.pause(connection)
    connection.wait()
