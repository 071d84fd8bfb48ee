"""Of large calls a few at a time: each takes the time and memory of thousands of single ones."""

from serving.edge import App, Message, Receive, Scope, Send, refused
from serving.refuse import crowded


class Few:
    """``app`` for at most ``calls`` calls at once, whose bodies hold ``held_bytes`` at most while they come.

    One whose body is not there yet is not under way: a few slow callers would keep all others out.
    """

    def __init__(self, app: App, calls: int, held_bytes: int) -> None:
        self._app = app
        self._calls_left, self._bytes_left = calls, held_bytes
        self.too_many: App = too_many
        """What answers a call too many."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a call, or refuse it: before anything is read, or when its body would be one too many."""
        held, taken = 0, False

        async def heard() -> Message:
            nonlocal held, taken
            message = await receive()
            if not taken and message["type"] == "http.request":
                size = len(message["body"])
                held += size
                self._bytes_left -= size
                taken = not message.get("more_body", False)
                self._calls_left -= taken
                if self._calls_left < 0 or self._bytes_left < 0:
                    raise crowded()
            return message

        try:
            await (self._app if self._calls_left > 0 else self.too_many)(scope, heard, send)
        finally:
            self._calls_left += taken
            self._bytes_left += held


async def too_many(scope: Scope, receive: Receive, send: Send) -> None:
    """The answer to a call too many."""
    await refused(scope, crowded())(scope, receive, send)
