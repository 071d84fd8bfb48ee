"""Pages that are dear to make, made once for all who ask: 15 ms for the API's document, 50 ms for the metrics."""

import asyncio
import math
import time
from collections.abc import Mapping

from serving.edge import App, Message, Receive, Scope, Send

LASTS_SECONDS: Mapping[str, float] = {"/docs.json": math.inf, "/schema.json": math.inf, "/metrics": 1.0}


class Remembered:
    """An ASGI application that answers GET of the paths of ``lasts`` with what ``app`` answered last.

    ``lasts``: path to how many seconds an answer is good for. Only answers of status 200 are remembered. Of calls that
    come together the first has the page made, the others wait for it.
    """

    def __init__(self, app: App, lasts: Mapping[str, float] = LASTS_SECONDS) -> None:
        self._app = app
        self._lasts = lasts
        self._making = {path: asyncio.Lock() for path in lasts}
        self._pages: dict[str, tuple[float, list[Message]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event, as ASGI applications do."""
        path = scope.get("path", "")
        if path not in self._lasts or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        async with self._making[path]:
            until, page = self._pages.get(path, (-math.inf, []))
            if time.monotonic() >= until:
                page = await self._made(scope, receive)
                if page[0]["status"] == 200:
                    self._pages[path] = time.monotonic() + self._lasts[path], page
        for message in page:
            await send(message)

    async def _made(self, scope: Scope, receive: Receive) -> list[Message]:
        page: list[Message] = []

        async def keep(message: Message) -> None:
            page.append(message)

        await self._app(scope, receive, keep)
        return page
