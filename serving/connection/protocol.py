"""A caller's connection, with bounds on what it may send before it is a call, and for how long.

uvicorn's parser keeps whatever it is sent until a header ends, puts a header that comes in pieces together anew at each
piece, and leaves it at the first offer of another protocol. Here, before any of that costs: a head has a most of bytes
and of headers, a first byte and a whole head have to come in time, what is no HTTP/1.1 that we understand alone is
refused, an offer to upgrade is left aside (RFC 9110, 7.8), and connections are counted, with some kept for probes.
Who is answered before having sent everything is listened to a little longer, without looking: a connection that is
closed on unread bytes is reset, and its caller never sees the answer.

``bounded`` makes the class out of uvicorn's own; ``serving.bento`` puts it in its place.
"""

from typing import Any

from serving.connection.bounds import Bounds, Refusals, Refused, not_http, problem_of, without_upgrade
from serving.connection.closing import LINGER_SECONDS, Dropping, Lingering, make_room, sweep
from serving.connection.door import DOOR, Door
from serving.connection.turnable import Turnable

SLICE_BYTES, BODY_SLICE_BYTES = 8_192, 65_536
"""How much the parser is given at once; what is beyond a bound by less than this is seen too late, and costs little."""
PROBES = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
SPARE_CONNECTIONS = 16
"""Beyond the bound, for probes alone."""


def bounded(base: Any, httptools: Any, bounds: Bounds, refusals: Refusals, door: Door) -> Any:  # noqa: ANN401
    """uvicorn's protocol class ``base``, which parses with ``httptools``, held within ``bounds``; calls of DOOR pass
    ``door``."""

    headers_complete, message_complete = base.on_headers_complete, base.on_message_complete
    response_complete, most_headers, idle_seconds = base.on_response_complete, bounds.headers, bounds.idle_seconds
    dropping, too_many = Dropping(), f"there are more than {most_headers} headers"

    class BoundedProtocol(Turnable, base):
        """One connection."""

        _sweeping = leaving = False
        """Whether the connections are looked after; whether each is to end with its next answer."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on as they come
            super().__init__(*args, **kwargs)
            self.quiet = 0
            """Bytes since the parser last had something to tell."""
            self._in_body = self._offered = False
            self.deadline: float | None = None
            """When the wait is over for what is awaited now."""
            self.dropped: int | None = None
            """Bytes dropped since nothing is read any more; None while it is."""
            self._refused: Refused | None = None
            """What is said when the calls before it are answered."""
            self._under_way = 0
            """Whether a call is counted at the door: one of a connection, as the next waits for its turn."""
            self._running: Any = None
            """The call whose turn it is."""
            self.unsent, self.unsent_since = 0, 0.0
            """Bytes that the caller does not take, and since when."""

        def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - asyncio's
            super().connection_made(transport)
            door.connections += 1
            self.unsent_since = self.loop.time()
            self.deadline = self.unsent_since + bounds.head_seconds
            there = len(self.connections)
            self._spare = there > bounds.connections and not make_room(self.connections - {self}, bounds)
            if self._spare and there > bounds.connections + SPARE_CONNECTIONS:
                refusals.note("overloaded", f"{there} connections, at most {bounds.connections}")
                transport.abort()
            if not BoundedProtocol._sweeping:
                BoundedProtocol._sweeping = True
                sweep(self.connections, self.loop, bounds.head_seconds)

        def data_received(self, data: bytes) -> None:
            if self.dropped is not None:
                dropping.take(self, len(data))
                return
            if len(data) <= SLICE_BYTES:
                self._feed(data)
                return
            size = BODY_SLICE_BYTES if self._in_body else SLICE_BYTES
            for start in range(0, len(data), size):
                if not self._feed(data[start : start + size]):
                    return
            if self._in_body and self.cycle.response_complete:
                dropping.pause(self)

        def _feed(self, data: bytes) -> bool:
            """Give the parser a slice; whether the connection goes on."""
            cycle, waiting = self.cycle, len(self.cycle.body) if self._in_body else 0
            try:
                self.parser.feed_data(data)
                if cycle is not self.cycle:  # what came before the head at hand was another's
                    self.quiet = -len(data)
                scope = self.scope
                if scope is None or "path" not in scope or self.cycle.more_body:
                    self._unfinished(len(data), waiting)
                else:
                    self.quiet, self._in_body = 0, False
                    if not self.cycle.response_complete:
                        self.deadline = None
            except httptools.HttpParserUpgrade as offer:
                return self._go_on_without(data[offer.args[0] :])
            except (httptools.HttpParserError, Refused) as error:  # a callback's error is the parser's context
                ours = error if isinstance(error, Refused) else error.__context__
                self.refuse(ours if isinstance(ours, Refused) else not_http(self.url))
                return False
            return self.parser is not None and self.dropped is None

        def _unfinished(self, size: int, waiting: int) -> None:
            """A head or a body goes on: it must not do so for ever without bringing anything."""
            self._in_body = self.scope is not None and "path" in self.scope
            if self._in_body:
                answered = self.cycle.response_complete
                if not answered:
                    self.deadline = None
                heard = len(self.cycle.body) > waiting or answered
                self.quiet = 0 if heard else self.quiet + size
            else:
                if self.quiet <= 0:
                    self.deadline = self.loop.time() + bounds.head_seconds
                self.quiet += size
            if self.quiet > bounds.head_bytes:
                if not self._in_body and not self.headers:
                    raise Refused(414, f"the request line is longer than {bounds.head_bytes} bytes")
                raise Refused(431, f"the headers are longer than {bounds.head_bytes} bytes")
            if self.headers is not None and len(self.headers) > most_headers:
                raise Refused(431, too_many)

        def on_headers_complete(self) -> None:
            """Look at a whole head before it becomes a call."""
            headers = self.headers
            if self.untold:
                self.tell()
            if len(headers) > most_headers:
                raise Refused(431, too_many)
            if problem := problem_of(headers, self.parser):
                raise Refused(400, problem)
            if self._spare and self.url.partition(b"?")[0].decode("latin-1") not in PROBES:
                raise Refused(503, "there are too many connections; try again shortly")
            self.quiet = 0
            if door.waiting >= door.most and self.turn_away(door, bounds):
                return
            if not self.parser.should_upgrade():
                headers_complete(self)
                self.headers = list[tuple[bytes, bytes]]()  # of trailers, which are no headers
                if not self.cycle.keep_alive or self.leaving:
                    self.cycle.keep_alive, self.cycle.transport = False, Lingering(self)
                return
            self._offered = True
            if self.parser.get_method() == b"CONNECT":
                raise Refused(400, "this server is no proxy")

        def on_message_complete(self) -> None:
            """With an offer to upgrade the parser ends a message with its head."""
            if not self._offered:
                message_complete(self)
                if self.cycle.response_complete:  # uvicorn leaves one alone that was answered early
                    self.cycle.more_body, self.deadline = False, self.loop.time() + idle_seconds
                elif not self._under_way and not self.pipeline and self.scope["path"] == DOOR:
                    self._under_way = 1
                    door.waiting += 1

        def _start_asgi_task(self, cycle: Any, app: Any) -> None:  # noqa: ANN401 - uvicorn's
            self._running = cycle
            super()._start_asgi_task(cycle, app)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            for cycle in (self._running, *(waiting for waiting, _ in self.pipeline)):
                if cycle is not None and not cycle.response_complete:
                    cycle.disconnected = True
                    cycle.message_event.set()
            door.waiting -= self._under_way
            self._under_way = 0

        def on_response_complete(self) -> None:
            """Wait for the next call, by the sweep and not by a timer for each; for the rest of a body not as long."""
            door.waiting -= self._under_way
            self._under_way = 0
            if self.pipeline or self.transport.is_closing():
                response_complete(self)
                return
            self.server_state.total_requests += 1
            self.flow.resume_reading()
            if self._refused is not None:
                self._say(self._refused)
                return
            self.deadline = self.loop.time() + (LINGER_SECONDS if self.cycle.more_body else idle_seconds)

        def _go_on_without(self, rest: bytes) -> bool:
            """Read the call anew without its offer to upgrade, then what came after its head."""
            head = without_upgrade(self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers)
            self.parser, self._offered = httptools.HttpRequestParser(self), False
            if hasattr(self.parser, "set_dangerous_leniencies"):  # as uvicorn makes it
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            return self._feed(head) and (not rest or self._feed(rest))

        def refuse(self, refused: Refused) -> None:
            """Answer in our one shape once the calls before are answered, and close."""
            refusals.note(refused.reason, str(refused))
            cycle = self.cycle
            if cycle is None or cycle.response_complete:
                self._say(refused)
                return
            if cycle.more_body and self.pipeline:  # its turn has not come
                self.pipeline.popleft()
            elif cycle.more_body:
                cycle.disconnected = True
                cycle.message_event.set()
                if cycle.response_started:
                    self.transport.abort()
                else:
                    self._say(refused)
                return
            self._refused, self.dropped, self.deadline = refused, 0, None

        def _say(self, refused: Refused) -> None:
            self._refused = None
            self.transport.write(refused.answer())
            self.linger()

        def shutdown(self) -> None:
            """Nobody is waited for who was told all there is."""
            if self.dropped is not None and self._refused is None:
                self.transport.close()
            else:
                super().shutdown()

        def linger(self) -> None:
            """Send no more, and wait for the caller to have read it."""
            if self.transport.can_write_eof():
                self.transport.write_eof()
                self.dropped, self.deadline = 0, self.loop.time() + LINGER_SECONDS
            else:
                self.transport.close()

    return BoundedProtocol
