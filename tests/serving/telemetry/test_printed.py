"""What is printed becomes records, one a line."""

import io
import logging

import pytest

from serving.telemetry.printed import PrintedLines


@pytest.fixture
def printed(caplog):
    """The stream, and what was said of it."""
    caplog.set_level(logging.INFO, "printed")
    return PrintedLines(io.StringIO(), logging.getLogger("printed"), logging.ERROR), caplog


def test_each_line_is_a_record(printed):
    """However it comes in pieces; what has no end yet waits."""
    stream, heard = printed
    print("one", 1, file=stream)
    stream.write("two\nthr")
    assert heard.messages == ["one 1", "two"]
    stream.writelines(["ee", "\n", "   \n", "%s {x}\n"])
    assert heard.messages == ["one 1", "two", "three", "%s {x}"]
    assert {record.levelno for record in heard.records} == {logging.ERROR}


def test_a_log_that_fails_is_not_fed_with_its_own_failure(printed):
    """logging prints its troubles on stderr, which is this stream."""
    stream, _ = printed

    class Failing(logging.Handler):
        times = 0

        def emit(self, _):
            Failing.times += 1
            print("--- Logging error ---", file=stream)

    logger, handler = logging.getLogger("printed"), Failing()
    logger.addHandler(handler)
    try:
        print("said", file=stream)
    finally:
        logger.removeHandler(handler)
    assert Failing.times == 1


def test_all_else_is_the_streams(printed):
    """Who asks for its encoding, or flushes it, is served."""
    stream, _ = printed
    stream.flush()
    assert stream.isatty() is False
