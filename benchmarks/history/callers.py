"""Callers of ``POST /predict`` and ``/feedback``: each has a connection, and sends again what got no answer."""

import asyncio
import json
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

from benchmarks.history.order import Order

Answer = dict[str, Any]
_RETRIES = 200
_HEAD = (
    b"POST %s HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer %s\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n"
)
PREDICT, FEEDBACK = b"/predict", b"/feedback"


class Callers:
    """Send ``bodies`` to ``ports`` in turn with an API ``key``, and keep the answers.

    ``twice``: which of them are sent again once they were answered. ``progress`` is told how many were.
    """

    def __init__(
        self,
        ports: Sequence[int],
        key: str,
        bodies: Sequence[bytes],
        twice: frozenset[int],
        progress: Callable[[int], object],
    ) -> None:
        self._ports, self._bodies, self._twice, self._progress = cycle(ports), bodies, twice, progress
        self._key = key.encode()
        self.answers: dict[int, Answer] = {}
        self.again: dict[int, Answer] = {}
        self.resent = 0
        """Calls that were cut off, and sent again."""

    async def run(self, order: Order, callers: int) -> None:
        """Send those of ``order``, until all are answered."""
        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(self._call(order))

    async def label(self, names: Sequence[str]) -> None:
        """Tell that these transactions were fraud, one after another."""
        connection = _Connection(next(self._ports), self._key)
        for name in names:
            await self._sent(connection, FEEDBACK, json.dumps({"transaction_id": name, "is_fraud": True}).encode())
        connection.close()

    async def ask_again(self, rows: Sequence[int]) -> None:
        """Send some once more, one after another."""
        connection = _Connection(next(self._ports), self._key)
        for row in rows:
            self.again[row] = await self._sent(connection, PREDICT, self._bodies[row])
        connection.close()

    async def _call(self, order: Order) -> None:
        connection = _Connection(next(self._ports), self._key)
        while order.left:
            row = order.take()
            if row is None:
                await asyncio.sleep(0.001)
                continue
            self.answers[row] = await self._sent(connection, PREDICT, self._bodies[row])
            if row in self._twice:
                self.again[row] = await self._sent(connection, PREDICT, self._bodies[row])
            order.answered(row)
            self._progress(len(self.answers))
        connection.close()

    async def _sent(self, connection: "_Connection", path: bytes, content: bytes) -> Answer:
        for _ in range(_RETRIES):
            try:
                status, body = await connection.post(path, content)
                if status == 200:
                    answer: Answer = json.loads(body)
                    return answer
                if status not in (429, 503):
                    raise RuntimeError(f"{status}: {body.decode()}")
            except (OSError, asyncio.IncompleteReadError):
                pass
            self.resent += 1
            connection.close()
            await asyncio.sleep(0.05)
        raise RuntimeError("a call was not answered")


class _Connection:
    """HTTP/1.1, kept alive."""

    def __init__(self, port: int, key: bytes) -> None:
        self._port, self._key = port, key
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: bytes, body: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(_HEAD % (path, self._key, len(body)) + body)
        answered = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(answered.split(None, 2)[1])
        size = int(answered.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        return status, await reader.readexactly(size)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
