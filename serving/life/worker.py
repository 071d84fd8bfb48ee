"""How a worker lives and ends: its heart beats with its event loop; told to end it still answers for a while.

SIGTERM comes before whoever sends calls here has heard of it. So the worker says first that it is not ready
(``/readyz``, ``fraud_workers_ready``), answers on, each call as the last one of its connection, and only when the grace
is over closes what is idle by then and waits for what is under way, as uvicorn does. Whoever asks for haste gets it:
Ctrl-C, which the parent hands on as HURRY, waits only for who is connected; a second signal cuts connections off, and
what was scored is still written to the prediction log.
"""

import asyncio
import logging
import os
import signal
from functools import cache
from types import FrameType

from monitoring.workers import BEAT_SECONDS, WorkerMetrics
from serving import bento, process

LOG = logging.getLogger("bentoml.fraud")
HURRY = signal.SIGHUP
"""Not SIGINT: a worker that is still starting would end with a traceback."""
HURRY_SECONDS = 1.0
PARENT = "_FRAUD_PARENT"
"""The variable that tells a worker the process id of its parent: it may die while the worker starts."""
_LOOK_SECONDS = 0.05


class Life:
    """Of this worker, from ``begin`` on; ``grace_seconds``: how long calls are still answered after SIGTERM."""

    def __init__(self, metrics: WorkerMetrics, grace_seconds: float) -> None:
        self._metrics = metrics
        self._grace_seconds = grace_seconds
        self._parent = int(os.environ.get(PARENT, os.getppid()))
        self._server: bento.Server | None = None
        self.leaving = False
        """Whether it was told to end."""

    def begin(self) -> None:
        """Beat, and listen to signals; called by the event loop that serves, when uvicorn has set its handlers."""
        self._loop = asyncio.get_running_loop()
        try:
            self._server = bento.Server()
        except LookupError as error:
            LOG.warning("told to end, this worker does so at once: %s", error)
        else:
            for number in (signal.SIGTERM, signal.SIGINT, HURRY):
                signal.signal(number, self._told)
        self._beat()

    def _told(self, number: int, _: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._leave, number)  # a handler runs in the middle of anything

    def _beat(self) -> None:
        self._loop.call_later(BEAT_SECONDS, self._beat)
        self._metrics.beat()
        if os.getppid() != self._parent and not self.leaving:
            LOG.error("the parent of the workers (process %d) is gone: this worker ends", self._parent)
            signal.raise_signal(HURRY)

    def _leave(self, number: int) -> None:
        server = self._server
        if server is None:
            return
        if self.leaving:
            LOG.warning("told to end again: connections are cut off")
            server.cut_off()
            return
        self.leaving = True
        self._metrics.ready(False)
        server.end_connections_with_answers()
        waits = number == signal.SIGTERM
        seconds = self._grace_seconds if waits else min(self._grace_seconds, HURRY_SECONDS)
        LOG.info("told to end: not ready any more, calls are answered for up to %g s", seconds)
        self._wait(server, self._loop.time() + seconds, waits)

    def _wait(self, server: bento.Server, until: float, waits: bool) -> None:
        """End when the time is over; earlier when nobody is connected, unless others may still be sent here."""
        if self._loop.time() < until and (waits or server.connections()):
            self._loop.call_later(_LOOK_SECONDS, self._wait, server, until, waits)
        else:
            server.end()


@cache
def life() -> Life:
    """That of this worker process."""
    return Life(process.metrics().workers, process.settings().drain_seconds)
