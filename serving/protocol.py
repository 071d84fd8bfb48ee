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

from serving.bounds import Bounds, Refusals, Refused, problem_of, without_upgrade

SLICE_BYTES, BODY_SLICE_BYTES = 8_192, 65_536
"""How much the parser is given at once; what is beyond a bound by less than this is seen too late, and costs little."""
PROBES = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
SPARE_CONNECTIONS = 16
"""Beyond the bound, for probes alone."""
LINGER_SECONDS, LINGER_BYTES = 30.0, 64 * 1_048_576
"""What is still read, and dropped, of a caller who was answered in the middle of a body or head."""
STALLED_SECONDS = 30.0
"""Who takes nothing of an answer for so long is not waited for."""
SWEEP_SECONDS = 1.0


def bounded(base: Any, httptools: Any, bounds: Bounds, refusals: Refusals) -> Any:  # noqa: ANN401 - uvicorn's class
    """uvicorn's protocol ``base``, which parses with ``httptools``, held within ``bounds``."""

    headers_complete, message_complete = base.on_headers_complete, base.on_message_complete
    response_complete, most_headers, idle_seconds = base.on_response_complete, bounds.headers, bounds.idle_seconds
    too_many = f"there are more than {most_headers} headers"

    class BoundedProtocol(base):
        """One connection."""

        _sweeping = leaving = False
        """Whether the connections are looked after; whether each is to end with its next answer."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on as they come
            super().__init__(*args, **kwargs)
            self._quiet = 0
            """Bytes since the parser last had something to tell."""
            self._in_body = self._offered = False
            self._deadline: float | None = None
            """When the wait is over for what is awaited now."""
            self._dropped: int | None = None
            """Bytes dropped since nothing is read any more; None while it is."""
            self._refused: Refused | None = None
            """What is said when the calls before it are answered."""
            self._unsent, self._unsent_since = 0, 0.0
            """Bytes that the caller does not take, and since when."""

        def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - asyncio's
            super().connection_made(transport)
            self._unsent_since = self.loop.time()
            self._deadline = self._unsent_since + bounds.head_seconds
            there = len(self.connections)
            self._spare = there > bounds.connections and not _make_room(self.connections - {self})
            if self._spare and there > bounds.connections + SPARE_CONNECTIONS:
                refusals.note("overloaded", f"{there} connections, at most {bounds.connections}")
                transport.abort()
            if not BoundedProtocol._sweeping:
                BoundedProtocol._sweeping = True
                self.loop.call_later(SWEEP_SECONDS, _sweep, self.connections, self.loop)

        def data_received(self, data: bytes) -> None:
            if self._dropped is not None:
                self._dropped += len(data)
                if self._dropped > LINGER_BYTES:
                    self.transport.abort()
                return
            if len(data) <= SLICE_BYTES:
                self._feed(data)
                return
            size = BODY_SLICE_BYTES if self._in_body else SLICE_BYTES
            for start in range(0, len(data), size):
                if not self._feed(data[start : start + size]):
                    return

        def _feed(self, data: bytes) -> bool:
            """Give the parser a slice; whether the connection goes on."""
            cycle, waiting = self.cycle, len(self.cycle.body) if self._in_body else 0
            try:
                self.parser.feed_data(data)
                if cycle is not self.cycle:  # what came before the head at hand was another's
                    self._quiet = -len(data)
                scope = self.scope
                if scope is None or "path" not in scope or self.cycle.more_body:
                    self._unfinished(len(data), waiting)
                else:
                    self._quiet, self._in_body = 0, False
                    if not self.cycle.response_complete:
                        self._deadline = None
            except httptools.HttpParserUpgrade as offer:
                return self._go_on_without(data[offer.args[0] :])
            except (httptools.HttpParserError, Refused) as error:  # a callback's error is the parser's context
                ours = error if isinstance(error, Refused) else error.__context__
                self.refuse(ours if isinstance(ours, Refused) else Refused(400, "the call is not HTTP/1.1"))
                return False
            return self.parser is not None and self._dropped is None

        def _unfinished(self, size: int, waiting: int) -> None:
            """A head or a body goes on: it must not do so for ever without bringing anything."""
            self._in_body = self.scope is not None and "path" in self.scope
            if self._in_body:
                answered = self.cycle.response_complete
                if not answered:
                    self._deadline = None
                heard = len(self.cycle.body) > waiting or answered
                self._quiet = 0 if heard else self._quiet + size
            else:
                if self._quiet <= 0:
                    self._deadline = self.loop.time() + bounds.head_seconds
                self._quiet += size
            if self._quiet > bounds.head_bytes:
                if not self._in_body and not self.headers:
                    raise Refused(414, f"the request line is longer than {bounds.head_bytes} bytes")
                raise Refused(431, f"the headers are longer than {bounds.head_bytes} bytes")
            if self.headers is not None and len(self.headers) > most_headers:
                raise Refused(431, too_many)

        def on_headers_complete(self) -> None:
            """Look at a whole head before it becomes a call."""
            headers = self.headers
            if len(headers) > most_headers:
                raise Refused(431, too_many)
            if problem := problem_of(headers, self.parser):
                raise Refused(400, problem)
            if self._spare and self.url.partition(b"?")[0].decode("latin-1") not in PROBES:
                raise Refused(503, "there are too many connections; try again shortly")
            self._quiet = 0
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
                    self.cycle.more_body, self._deadline = False, self.loop.time() + idle_seconds

        def on_response_complete(self) -> None:
            """Wait for the next call, by the sweep and not by a timer for each; for the rest of a body not as long."""
            if self.pipeline or self.transport.is_closing():
                response_complete(self)
                return
            self.server_state.total_requests += 1
            self.flow.resume_reading()
            if self._refused is not None:
                self._say(self._refused)
                return
            self._deadline = self.loop.time() + (LINGER_SECONDS if self.cycle.more_body else idle_seconds)

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
            self._refused, self._dropped, self._deadline = refused, 0, None

        def _say(self, refused: Refused) -> None:
            self._refused = None
            self.transport.write(refused.answer())
            self.linger()

        def shutdown(self) -> None:
            """Nobody is waited for who was told all there is."""
            if self._dropped is not None and self._refused is None:
                self.transport.close()
            else:
                super().shutdown()

        def linger(self) -> None:
            """Send no more, and wait for the caller to have read it."""
            if self.transport.can_write_eof():
                self.transport.write_eof()
                self._dropped, self._deadline = 0, self.loop.time() + LINGER_SECONDS
            else:
                self.transport.close()

    class Lingering:
        """The transport of a call that is the last of its connection: it may end before its body does."""

        def __init__(self, connection: BoundedProtocol) -> None:
            self._connection = connection
            self.write, self.is_closing = connection.transport.write, connection.transport.is_closing

        def close(self) -> None:
            if self._connection.cycle.more_body:
                self._connection.linger()
            else:
                self._connection.transport.close()

    def _sweep(connections: "set[BoundedProtocol]", loop: Any) -> None:  # noqa: ANN401
        """End what has waited too long: for a head, for the rest of a body, or for its answer to be read."""
        loop.call_later(SWEEP_SECONDS, _sweep, connections, loop)
        now = loop.time()
        for connection in list(connections):
            unsent = connection.transport.get_write_buffer_size()
            if not unsent or unsent < connection._unsent:
                connection._unsent_since = now
            connection._unsent = unsent
            if now - connection._unsent_since > STALLED_SECONDS:
                connection.transport.abort()
            elif connection._deadline is not None and now > connection._deadline:
                if connection._quiet > 0 and connection._dropped is None:
                    connection.refuse(Refused(408, f"no whole head came within {bounds.head_seconds:g} s"))
                else:
                    connection.transport.close()

    def _make_room(others: "set[BoundedProtocol]") -> bool:
        """Close so many as a tenth of the bound, of those that are idle or waited for; whether there were any."""
        idle = [one for one in others if one._deadline is not None and not one.transport.is_closing()]
        idle.sort(key=lambda one: (one.cycle is None or one._quiet > 0, one._deadline))
        room = idle[: max(1, bounds.connections // 10)]
        for connection in room:
            connection.transport.close()
        return bool(room)

    return BoundedProtocol
