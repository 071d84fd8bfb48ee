"""One short line in the log for a refused call, where that is asked for; never so many that they fill a disk."""

import asyncio
import logging
import time
from collections.abc import MutableMapping
from contextvars import Context
from typing import Any

LOG = logging.getLogger("bentoml.fraud.refused")

LINES, WINDOW_SECONDS = 60, 60.0
"""At most so many lines in so long, from one worker: about 20 MB a day."""
LONGEST_PATH = 200


class RefusedCalls:
    """Says which calls were refused; beyond ``lines`` in ``seconds`` it counts them, and says how many at the end."""

    def __init__(self, lines: int = LINES, seconds: float = WINDOW_SECONDS) -> None:
        self._lines, self._seconds = lines, seconds
        self._window_ends = 0.0
        self._said = self._unsaid = 0

    def note(self, scope: MutableMapping[str, Any], status: int, reason: str, request_id: str) -> None:
        """One more, in the event loop; ``reason`` is that of the metric."""
        now = time.monotonic()
        if now >= self._window_ends:
            self._window_ends, self._said = now + self._seconds, 0
        if self._said >= self._lines:
            self._leave_out(self._window_ends - now)
            return
        self._said += 1
        host, port = scope.get("client") or ("?", "?")
        fields = {
            "method": printable(scope["method"]),
            "path": printable(scope["path"]),
            "status": int(status),
            "reason": reason,
            "client": printable(f"{host}:{port}"),  # a proxy's word for it where there is one
        }
        words = "refused %(method)s %(path)s: %(status)s %(reason)s, client %(client)s"
        LOG.info(words, fields, extra={"fields": fields, "request": request_id})

    def _leave_out(self, seconds_left: float) -> None:
        self._unsaid += 1
        if self._unsaid == 1:  # in no call's context: the line is about many
            asyncio.get_running_loop().call_later(seconds_left, self._tell, context=Context())

    def _tell(self) -> None:
        fields = {"unsaid": self._unsaid}
        LOG.info("%(unsaid)s more calls were refused, which were not said one by one", fields, extra={"fields": fields})
        self._unsaid = 0


def printable(text: str) -> str:
    """What a caller sent, for a line of a log: short, and without what would end the line or steer a terminal."""
    shown = "".join(character if character.isprintable() else "?" for character in text[:LONGEST_PATH])
    return f"{shown}..." if len(text) > LONGEST_PATH else shown
