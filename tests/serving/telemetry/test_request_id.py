"""The id of a call: its caller's where it can harm nothing, a fresh one otherwise."""

import re

import pytest

from serving.telemetry import request_id

TRACE = b"0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = b"00-%b-b7ad6b7169203331-01" % TRACE
FRESH = re.compile(rb"[0-9a-f]{32}")
ALL = frozenset(range(0x21, 0x7F)) - frozenset(b"\"'`\\")


@pytest.mark.parametrize("given", [b"a", b"x" * 128, bytes(sorted(ALL)), b"0b8f6f7e-6c1f-4a44-bf8f-1f6f5a3f7c11"])
def test_a_sound_id_is_kept_as_it_is(given):
    """Printable ASCII of up to 128 characters, whatever a traceparent says."""
    assert request_id.of(given, TRACEPARENT) == given


@pytest.mark.parametrize("code", sorted(frozenset(range(256)) - ALL))
def test_an_id_with_another_character_is_not_taken(code):
    """Blanks, quotes, backslashes, control characters, bytes that are no ASCII: at any place."""
    for given in (bytes([code]), b"a%b" % bytes([code]), b"%ba" % bytes([code]), b"a%bb" % bytes([code])):
        made = request_id.of(given, b"")
        assert FRESH.fullmatch(made)
        assert made != given


@pytest.mark.parametrize("given", [b"", b"x" * 129, b"x" * 60_000])
def test_without_a_sound_id_a_fresh_one_is_made(given):
    """Another one each time."""
    made = {request_id.of(given, b"") for _ in range(1000)}
    assert len(made) == 1000
    assert all(FRESH.fullmatch(one) for one in made)


@pytest.mark.parametrize(
    "traceparent",
    [
        TRACEPARENT,
        TRACEPARENT.replace(b"-01", b"-00"),
        b"01" + TRACEPARENT[2:],
        b"cc" + TRACEPARENT[2:] + b"-what-will-be",
    ],
)
def test_a_trace_gives_its_id(traceparent):
    """Where there is no sound X-Request-Id; versions to come may go on after the flags."""
    assert request_id.of(b"", traceparent) == TRACE
    assert request_id.of(b"not sound", traceparent) == TRACE


@pytest.mark.parametrize(
    "traceparent",
    [
        b"ff" + TRACEPARENT[2:],
        TRACEPARENT + b"-more",
        TRACEPARENT + b"0",
        TRACEPARENT.upper(),
        TRACEPARENT[:-1],
        b"00-%b-b7ad6b7169203331-01" % (b"0" * 32),
        b"00-%b-0000000000000000-01" % TRACE,
        b"cc" + TRACEPARENT[2:] + b"more",
        b"%b,%b" % (TRACEPARENT, TRACEPARENT),
        b"nonsense",
    ],
)
def test_a_traceparent_that_is_none_gives_nothing(traceparent):
    """W3C Trace Context: a version of ff, zeros, capitals, another length."""
    made = request_id.of(b"", traceparent)
    assert made != TRACE
    assert FRESH.fullmatch(made)


def test_an_answer_bears_the_id_once():
    """In place of what the application had, and of BentoML's own."""
    headers = [(b"X-Request-Id", b"other"), (b"X-BentoML-Request-ID", b"17"), (b"server", b"x")]
    assert request_id.stamped(headers, "a") == [(b"server", b"x"), (b"x-request-id", b"a")]
