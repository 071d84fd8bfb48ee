"""A way to a server that is slow, or cut: what goes through it waits ``seconds``, or nothing goes through at all."""

import asyncio
import selectors
import socket
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Wire:
    """Passes bytes on to ``port`` of this machine, in each direction ``seconds`` later; ``cut`` holds them back."""

    def __init__(self, port: int) -> None:
        self.seconds, self.cut = 0.0, False
        self._to, self._socket = port, socket.create_server(("127.0.0.1", 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does so for its own alone
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.SelectorEventLoop(selectors.SelectSelector())  # whose waits are no whole milliseconds
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.close()
            return
        with suppress(asyncio.CancelledError):
            await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What comes while other bytes are on their way waits no longer for that."""
        on_its_way = asyncio.Queue[tuple[float, bytes]]()
        arriving = asyncio.ensure_future(self._arrive(on_its_way, writer))
        try:
            with suppress(OSError):
                while data := await reader.read(1 << 16):
                    on_its_way.put_nowait((self._loop.time() + self.seconds, data))
            on_its_way.put_nowait((0.0, b""))
            await arriving
        finally:
            arriving.cancel()
            writer.close()

    async def _arrive(self, on_its_way: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while (one := await on_its_way.get())[1]:
                await asyncio.sleep(one[0] - self._loop.time())
                while self.cut:
                    await asyncio.sleep(0.01)
                writer.write(one[1])
                await writer.drain()

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._connected, sock=self._socket))
        return self

    def _run(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            self._server.close()
            others = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
            for one in others:
                one.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            for _ in range(3):  # transports close at the loop's next turns
                await asyncio.sleep(0)

        self._run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
