"""The id of a call: its caller's where that is sound, else a fresh one.

The answer, the lines of the log, the span and the prediction log carry the same one.
"""

import re
from collections.abc import Iterable
from contextvars import ContextVar
from random import getrandbits

LONGEST = 128
HEADER, TRACEPARENT = b"x-request-id", b"traceparent"

current: ContextVar[str] = ContextVar("request_id", default="")
"""Of the call at hand, for the lines of the log and for spans; empty outside of a call, and on the short way."""

current_key: ContextVar[str | None] = ContextVar("current_key", default=None)
"""Name of the API key of the call at hand, for the prediction log; None without keys, and on the short way."""


def of_call() -> tuple[str | None, str | None]:
    """The id and the key's name of the call at hand, for the prediction log."""
    return current.get() or None, current_key.get()


_SOUND = re.compile(rb"[!#-&(-\[\]-_a-~]{1,%d}" % LONGEST)
"""Printable ASCII without blanks, quotes and backslashes: it can harm neither a log nor a header nor a query."""
_TRACE = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_FIRST_VERSION_BYTES = 55
_BENTOML = b"x-bentoml-request-id"


def of(given: bytes, traceparent: bytes) -> bytes:
    """The id of a call with these values of X-Request-Id and traceparent, each empty where there is none.

    The first where it is sound, else the trace id of the second (W3C Trace Context), else 32 random hexadecimal digits.
    """
    if given and _SOUND.fullmatch(given):
        return given
    if traceparent and (trace := _TRACE.fullmatch(traceparent)) and _fits_version(traceparent):
        return trace[1]
    return b"%032x" % getrandbits(128)


def _fits_version(traceparent: bytes) -> bool:
    """Version 00 ends after its flags; later ones may go on."""
    return not traceparent.startswith(b"00") or len(traceparent) == _FIRST_VERSION_BYTES


def of_headers(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The id of a call with these headers, names in lower case."""
    last = dict(headers)
    return of(last.get(HEADER, b""), last.get(TRACEPARENT, b""))


def stamped(headers: Iterable[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with the id, and without BentoML's own, which is kept nowhere."""
    own = (HEADER, _BENTOML)
    return [*(pair for pair in headers if pair[0].lower() not in own), (HEADER, request_id.encode())]
