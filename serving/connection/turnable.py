"""What a connection does for the door: have a call that is not let in answered by bytes that are ready."""

import asyncio
from typing import Any
from urllib.parse import unquote

from httptools import HttpParserInvalidURLError, parse_url

from serving.connection.bounds import Bounds, Refused
from serving.connection.closing import LINGER_SECONDS
from serving.connection.door import DOOR, Door
from serving.refuse import overloaded

BUSY_LAST = Refused(503, overloaded().error).answer()
"""The answer to a call that is the last of its connection."""
BUSY = BUSY_LAST.replace(b"connection: close\r\n", b"")


class Turnable:
    """A part of ``serving.connection.protocol.bounded``."""

    leaving: bool
    cycle: Any
    parser: Any
    transport: Any
    loop: Any
    scope: Any
    url: bytes
    headers: list[tuple[bytes, bytes]]
    expect_100_continue: bool
    deadline: float | None
    linger: Any
    untold = b""
    """What is still to be said to a call that was turned away."""

    def turn_away(self, door: Door, bounds: Bounds) -> bool:
        """Have the call at hand refused before it is one; False where it is none for the door, or not the next."""
        first = self.cycle is None or self.cycle.response_complete
        if not first or self.parser.should_upgrade() or not _is_for_door(self.parser.get_method(), self.url):
            return False
        if bounds.cors and any(name == b"origin" for name, _ in self.headers):
            return False
        self.cycle, self.scope["path"] = TurnedAway(), DOOR
        self.deadline = self.loop.time() + LINGER_SECONDS
        stays = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        self.untold = BUSY if stays and not self.leaving and not self.expect_100_continue else BUSY_LAST
        door.hold(self)
        return True

    def tell(self) -> None:
        """Say, if it was not said yet, that the call was turned away."""
        untold, self.untold = self.untold, b""
        if untold and not self.transport.is_closing():
            self.transport.resume_reading()
            self.transport.write(untold)
            if untold is BUSY_LAST:
                self.linger()


class TurnedAway:
    """Stands where uvicorn has a call, for one that was answered before it became one: the rest of it is dropped."""

    response_complete, keep_alive, body, message_event = True, True, b"", asyncio.Event()

    def __init__(self) -> None:
        self.more_body = True


def _is_for_door(method: bytes, url: bytes) -> bool:
    """Whether a call is one of those that are counted, however its path is written."""
    try:
        path = parse_url(url).path or b""
    except HttpParserInvalidURLError:
        return False
    return bool(method == b"POST" and unquote(path.decode("latin-1")) == DOOR)
