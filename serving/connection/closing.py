"""How connections end: who has waited too long, who is to go when there are too many, and who is still listened to.

``protocol`` keeps on each connection what is looked at here once a second; a timer for each would cost more.
"""

from typing import Any, TypeAlias

from serving.connection.bounds import Bounds, Refused

STALLED_SECONDS = 30.0
"""Who takes nothing of an answer for so long is not waited for."""
SWEEP_SECONDS = 1.0

LINGER_SECONDS = 30.0
"""How long is still read, and dropped, what comes of a caller who was answered in the middle of a body or head."""
LINGER_BYTES = 64 * 1_048_576
"""So much is read, and dropped, of a caller who was answered in the middle of a body or head."""
READS_A_SECOND, LONGEST_PAUSE_SECONDS = 100, 0.2
"""What is dropped is read so often, of all connections together, but of each at least five times a second."""

Connections: TypeAlias = set[Any]
"""Of ``serving.connection.protocol.bounded``."""


def sweep(connections: Connections, loop: Any, head_seconds: float) -> None:  # noqa: ANN401 - asyncio's or uvloop's
    """From now on end what has waited too long: for a head, for the rest of a body, or for its answer to be read."""
    loop.call_later(SWEEP_SECONDS, sweep, connections, loop, head_seconds)
    now = loop.time()
    for connection in list(connections):
        unsent = connection.transport.get_write_buffer_size()
        if not unsent or unsent < connection.unsent:
            connection.unsent_since = now
        connection.unsent = unsent
        if now - connection.unsent_since > STALLED_SECONDS:
            connection.transport.abort()
        elif connection.deadline is not None and now > connection.deadline:
            if connection.quiet > 0 and connection.dropped is None:
                connection.refuse(Refused(408, f"no whole head came within {head_seconds:g} s"))
            else:
                connection.transport.close()


def make_room(others: Connections, bounds: Bounds) -> bool:
    """Close so many as a tenth of the bound, of those that are idle or waited for; whether there were any."""
    idle = [one for one in others if one.deadline is not None and not one.transport.is_closing()]
    idle.sort(key=lambda one: (one.cycle is None or one.quiet > 0, one.deadline))
    room = idle[: max(1, bounds.connections // 10)]
    for connection in room:
        connection.transport.close()
    return bool(room)


class Lingering:
    """The transport of a call that is the last of its connection: it may end before its body does."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - of ``serving.connection.protocol.bounded``
        self._connection = connection
        self.write, self.is_closing = connection.transport.write, connection.transport.is_closing

    def close(self) -> None:
        """Once the caller has read the answer."""
        if self._connection.cycle.more_body:
            self._connection.linger()
        else:
            self._connection.transport.close()


class Dropping:
    """Reads what nobody will look at a little at a time, so that many who send in vain do not keep others waiting."""

    def __init__(self) -> None:
        self._paused = 0

    def take(self, connection: Any, size: int) -> None:  # noqa: ANN401 - of ``serving.connection.protocol.bounded``
        """Drop ``size`` bytes of a connection that nothing is read of any more."""
        connection.dropped += size
        if connection.dropped > LINGER_BYTES:
            connection.transport.abort()
        else:
            self.pause(connection)

    def pause(self, connection: Any) -> None:  # noqa: ANN401
        """Read no more of ``connection`` for a while: the longer, the more of them wait."""
        if connection.transport.is_closing():
            return
        self._paused += 1
        connection.transport.pause_reading()
        connection.loop.call_later(min(LONGEST_PAUSE_SECONDS, self._paused / READS_A_SECOND), self._resume, connection)

    def _resume(self, connection: Any) -> None:  # noqa: ANN401
        self._paused -= 1
        if not connection.transport.is_closing():
            connection.transport.resume_reading()
