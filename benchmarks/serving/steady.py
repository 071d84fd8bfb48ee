"""Constant-rate load: each call has a due time, is sent then whatever became of the others, and is measured from it.

python -m benchmarks.serving.steady http://127.0.0.1:3000/predict body.json 500 10

A closed loop asks less while the server is slow, and so leaves out the worst latencies (coordinated omission). No
maintained tool for a constant rate is on PyPI or in Debian: hey and h2load count from the moment a call was sent.
"""

import json
import select
import socket
import sys
import time
from collections import deque
from pathlib import Path
from urllib.parse import urlsplit

import httptools

from benchmarks.serving.percentile import percentile

MOST_CONNECTIONS = 512  # below the 1024 that select() takes
GRACE_SECONDS = 15.0  # for the last answers
_STALE_SECONDS = 0.5  # servers close a connection that was idle for longer


class Connection:
    """A kept-alive connection with at most one call on it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = self.socket.fileno()
        self.due = self.used = 0.0
        self.answered = False
        self._parser = httptools.HttpResponseParser(self)

    def send(self, request: bytes, due: float) -> None:
        """Send a call that was due at ``due``. Raises OSError."""
        self.due, self.answered = due, False
        self.socket.sendall(request)

    def receive(self) -> None:
        """Read what there is. Raises OSError when the connection ended before the answer did."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.answered = True

    def status(self) -> int:
        """Of the last answer."""
        code: int = self._parser.get_status_code()
        return code

    def stays_open(self) -> bool:
        """Whether the last answer lets another call follow."""
        keeps: bool = self._parser.should_keep_alive()
        return keeps

    def is_closed(self) -> bool:
        """Whether the server has closed it meanwhile."""
        try:
            return not self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True


class Steady:
    """The run: what is due, what is under way, what came of it."""

    def __init__(self, url: str, body: bytes, rate: float, seconds: float) -> None:
        parts = urlsplit(url)
        host, port = str(parts.hostname), int(parts.port or 80)
        head = f"POST {parts.path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        self._request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        self._address = (host, port)
        self._every, self._count = 1 / rate, max(1, round(rate * seconds))
        self._idle: deque[Connection] = deque()
        self._busy: dict[int, Connection] = {}
        self._sent = 0
        self.latencies: list[float] = []
        self.lags: list[float] = []
        self.errors = 0

    def run(self) -> float:
        """Send every call; returns the seconds until the last answer, or until the end of the grace."""
        started = now = time.perf_counter()
        end = started + self._count * self._every + GRACE_SECONDS
        while (self._sent < self._count or self._busy) and now < end:
            due = self._send_due(started, now)
            now = time.perf_counter()
            self._collect(max(0.0, min(due, end) - now))
            now = time.perf_counter()
        self.errors += self._count - self._sent + len(self._busy)
        return now - started

    def _send_due(self, started: float, now: float) -> float:
        """Send what is due by ``now`` as far as connections go; returns when to look again at the latest."""
        while self._sent < self._count:
            due = started + self._sent * self._every
            if due > now:
                return due
            if len(self._busy) == MOST_CONNECTIONS:
                break
            self._send(due)
            self._sent += 1
        return now + 1.0

    def _send(self, due: float) -> None:
        try:
            connection = self._connection()
            connection.send(self._request, due)
        except OSError:
            self.errors += 1
            return
        self.lags.append(time.perf_counter() - due)
        self._busy[connection.number] = connection

    def _connection(self) -> Connection:
        """The one used last, so that few are kept busy; a new one when none is left."""
        while self._idle:
            connection = self._idle.pop()
            if time.perf_counter() - connection.used < _STALE_SECONDS or not connection.is_closed():
                return connection
            connection.socket.close()
        return Connection(self._address)

    def _collect(self, seconds: float) -> None:
        """Wait at most ``seconds`` for answers; ``select`` waits in microseconds where epoll rounds up to 1 ms."""
        if not self._busy:
            time.sleep(seconds)
            return
        for number in select.select(list(self._busy), [], [], seconds)[0]:
            connection = self._busy[number]
            try:
                connection.receive()
            except (OSError, httptools.HttpParserError):
                del self._busy[number]
                connection.socket.close()
                self.errors += 1
                continue
            if connection.answered:
                del self._busy[number]
                self._finish(connection)

    def _finish(self, connection: Connection) -> None:
        connection.used = time.perf_counter()
        self.latencies.append(connection.used - connection.due)
        self.errors += not 200 <= connection.status() < 300
        if connection.stays_open():
            self._idle.append(connection)
        else:
            connection.socket.close()


def main() -> None:
    """Print one JSON object: the fields of ``benchmarks.serving.load.Load``."""
    url, body, rate, seconds = sys.argv[1:]
    run = Steady(url, Path(body).read_bytes(), float(rate), float(seconds))
    took = run.run()
    figures = {
        "requests": len(run.latencies),
        "seconds": took,
        "p50_ms": percentile(run.latencies, 50) * 1e3,
        "p99_ms": percentile(run.latencies, 99) * 1e3,
        "max_ms": percentile(run.latencies, 100) * 1e3,
        "errors": run.errors,
        "lag_p99_ms": percentile(run.lags, 99) * 1e3,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
