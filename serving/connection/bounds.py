"""What a connection may take before it is a call; what is no call that we understand alone, and the answer to it."""

import logging
import resource
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fraud.settings import Settings
from serving.refuse import RETRY_AFTER_SECONDS, error_body

LOG = logging.getLogger("bentoml.fraud")

LOG_SECONDS = 10.0
"""Between two lines about what was refused."""

_LONGEST_URL = 65_535
_OTHER_DESCRIPTORS = 96  # the log's database, metrics files, what BentoML opens
_OFFERS = (b"upgrade", b"http2-settings")
_STATUS = {
    400: (b"400 Bad Request", "malformed"),
    408: (b"408 Request Timeout", "timeout"),
    414: (b"414 URI Too Long", "too_large"),
    431: (b"431 Request Header Fields Too Large", "too_large"),
    503: (b"503 Service Unavailable", "overloaded"),
}


@dataclass(frozen=True)
class Bounds:
    """What one connection, or all of this process, may take."""

    head_bytes: int = 65_536
    """Of the request line and headers together; of trailers likewise."""
    headers: int = 100
    head_seconds: float = 10.0
    """From the connection, or from the first byte of a head, to the end of the head."""
    idle_seconds: float = 75.0
    """A connection without a call is closed after it: longer than the 60 s of common balancers."""
    connections: int = 10_000
    cors: bool = False
    """Whether pages of other hosts may call: their answers need headers that only BentoML knows."""

    @classmethod
    def of(cls, settings: Settings, *, cors: bool) -> "Bounds":
        """Those of ``settings``; of connections fewer where descriptors are: they are needed for other things too."""
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return cls(
            head_bytes=settings.max_header_bytes,
            headers=settings.max_headers,
            head_seconds=settings.header_timeout_seconds,
            idle_seconds=settings.keep_alive_seconds,
            connections=min(settings.max_connections, max(16, descriptors - _OTHER_DESCRIPTORS)),
            cors=cors,
        )


class Refusals:
    """Tells of what was refused: each to ``count``, and some of them to the log."""

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count
        self._unsaid = 0
        self._said = -LOG_SECONDS

    def note(self, reason: str, words: str) -> None:
        """One more."""
        self._count(reason)
        self._unsaid += 1
        now = time.monotonic()
        if now - self._said >= LOG_SECONDS:
            LOG.warning("%d calls refused before they were read, the last: %s", self._unsaid, words)
            self._said, self._unsaid = now, 0


class Refused(Exception):  # noqa: N818 - it is no error of ours
    """Ends the parsing of a connection: what it sent is answered with ``status``."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status

    @property
    def reason(self) -> str:
        """That of the metric."""
        return _STATUS[self.status][1]

    def answer(self) -> bytes:
        """In our one shape, the last of its connection."""
        body = error_body(str(self))
        retry = b"retry-after: %d\r\n" % RETRY_AFTER_SECONDS if self.status == 503 else b""
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n"
        return head % (_STATUS[self.status][0], len(body), retry) + body


def not_http(url: bytes) -> Refused:
    """What the parser does not take; it takes no address of 64 KiB, whatever is allowed."""
    if len(url) > _LONGEST_URL:
        return Refused(414, f"the request line is longer than {_LONGEST_URL} bytes")
    return Refused(400, "the call is not HTTP/1.1")


def problem_of(headers: Sequence[tuple[bytes, bytes]], parser: Any) -> str | None:  # noqa: ANN401 - httptools'
    """What RFC 9112 would not let pass, of headers with names in lower case; None where nothing is wrong."""
    last = dict(headers)
    names = [name for name, _ in headers] if len(last) < len(headers) else ()
    if names.count(b"host") > 1 or (b"host" not in last and parser.get_http_version() == "1.1"):
        return "expected one Host header"
    if names.count(b"content-type") > 1:
        return "expected one Content-Type header"
    if b"transfer-encoding" in last and (
        names.count(b"transfer-encoding") > 1 or last[b"transfer-encoding"].strip().lower() != b"chunked"
    ):
        return "expected no other Transfer-Encoding than chunked"
    return None


def without_upgrade(method: bytes, url: bytes, http_version: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head of the same call without its offer of another protocol."""
    lines = [b"%b %b HTTP/%b\r\n" % (method, url, http_version.encode())]
    for name, value in headers:
        if name in _OFFERS:
            continue
        if name == b"connection":
            tokens = [token for token in value.split(b",") if token.strip().lower() not in _OFFERS]
            lines.append(b"connection: %b\r\n" % b",".join(tokens) if tokens else b"")
        else:
            lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join([*lines, b"\r\n"])
