"""Offered load on many connections: each call has a due time, and waits for one of a fixed number of connections.

Unlike ``serving.steady`` it holds thousands of connections, and does not open more when the service is slow: what has
no connection within ``PATIENCE_SECONDS`` is given up, as a client's pool does. After a refusal the connection is used
again at once: the worst of callers, who do not heed Retry-After.
"""

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from benchmarks.serving.load import local

PATIENCE_SECONDS = 1.0
GRACE_SECONDS = 20.0
_OPENING = 100  # connections that are opened at a time


class Connection(asyncio.Protocol):
    """A kept-alive connection with at most one call on it."""

    def __init__(self, crowd: "Crowd") -> None:
        self._crowd = crowd
        self._answer = b""
        self.due = self.sent = 0.0
        self.calling = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self.transport: Any = transport
        self._crowd.made(self)

    def send(self, due: float, now: float) -> None:
        """Send a call that was due at ``due``."""
        self.due, self.sent, self.calling = due, now, True
        self.transport.write(self._crowd.request)

    def data_received(self, data: bytes) -> None:
        """Called by the loop; an answer says how long it is."""
        self._answer += data
        head, blank, body = self._answer.partition(b"\r\n\r\n")
        if blank and len(body) >= int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            self._answer, self.calling = b"", False
            self._crowd.answered(self, int(head[9:12]))

    def connection_lost(self, _: Exception | None) -> None:
        """Called by the loop."""
        self._crowd.lost(self)


@dataclass(frozen=True)
class Offered:
    """What came of a run. Latencies in seconds, of the calls that were answered with 200."""

    seconds: float
    """In which calls were due."""
    calls: int
    statuses: Counter[int]
    given_up: int
    """Calls that found no connection in time."""
    lost: int
    """Calls without an answer."""
    from_due: list[float]
    from_sent: list[float]


class Crowd:
    """The run: what is due, what is under way, what came of it."""

    def __init__(self, url: str, body: bytes, rate: float, seconds: float) -> None:
        parts = urlsplit(local(url))
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        head = f"POST {parts.path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nContent-Type: application/json\r\n"
        self.request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        self._every, self._count = 1 / rate, max(1, round(rate * seconds))
        self.idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self.statuses: Counter[int] = Counter()
        self.from_due: list[float] = []
        self.from_sent: list[float] = []
        self._given_up = self._lost = self._next = 0
        self._running = False

    async def open(self, connections: int) -> None:
        """Open the connections; return when the service has let all of them in."""
        loop = asyncio.get_running_loop()
        for start in range(0, connections, _OPENING):
            some = range(start, min(connections, start + _OPENING))
            await asyncio.gather(
                *(loop.create_connection(lambda: Connection(self), self._host, self._port) for _ in some)
            )
        last = self.idle[-1]  # they are let in one after another
        self.idle.remove(last)
        last.send(time.perf_counter(), time.perf_counter())
        end = time.perf_counter() + GRACE_SECONDS
        while not self.statuses:
            if time.perf_counter() > end:
                raise TimeoutError(f"{self._host}:{self._port} has not let in {connections} connections")
            await asyncio.sleep(0.01)

    async def run(self) -> Offered:
        """Send what is due, wait for the last answers."""
        self.statuses.clear()
        self.from_due.clear()
        self.from_sent.clear()
        self._started, self._running = time.perf_counter(), True
        while self._next < self._count:
            self._send_due()
            await asyncio.sleep(0.0005)
        took = time.perf_counter() - self._started
        self._running = False
        end = time.perf_counter() + GRACE_SECONDS
        while any(connection.calling for connection in self._open) and time.perf_counter() < end:
            await asyncio.sleep(0.05)
        await self._close()
        return Offered(took, self._count, self.statuses, self._given_up, self._lost, self.from_due, self.from_sent)

    async def _close(self) -> None:
        """Calls that have no answer by now are lost."""
        for connection in list(self._open):
            connection.transport.abort()
        while self._open:
            await asyncio.sleep(0.01)

    def _send_due(self) -> None:
        now = time.perf_counter()
        while self._next < self._count and (due := self._started + self._next * self._every) <= now:
            if self.idle:
                self.idle.popleft().send(due, now)
            elif now - due > PATIENCE_SECONDS:
                self._given_up += 1
            else:
                return
            self._next += 1

    def made(self, connection: Connection) -> None:
        """One more may be used."""
        self._open.add(connection)
        self.idle.append(connection)

    def answered(self, connection: Connection, status: int) -> None:
        """Count an answer, and use the connection again."""
        self.statuses[status] += 1
        if status == 200:
            now = time.perf_counter()
            self.from_due.append(now - connection.due)
            self.from_sent.append(now - connection.sent)
        self.idle.append(connection)
        if self._running and len(self.idle) == 1:
            self._send_due()

    def lost(self, connection: Connection) -> None:
        """Count a call that gets no answer."""
        self._open.discard(connection)
        self._lost += connection.calling
        if not connection.calling and connection in self.idle:
            self.idle.remove(connection)
