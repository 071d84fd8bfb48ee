"""The parent of the workers: it starts those anew that died, and replaces those that stand still.

A worker that is stopped, or whose event loop is held up, keeps its callers waiting, and the kernel goes on giving it
new ones. The parent looks at each worker's heart (``monitoring.workers``), and kills a worker of which it heard nothing
for too long; a new one then takes its place as that of any other dead one.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path

from fraud.settings import Settings
from monitoring.workers import Beat, beats
from serving import bento, process
from serving.life.worker import HURRY, PARENT

LOG = logging.getLogger("bentoml.fraud")
SPARE_SECONDS = 10.0
"""For what a worker does after its last answer: the prediction log, the spans, the metrics."""


def supervise() -> None:
    """In the parent of the workers, before it starts them."""
    os.environ[PARENT] = str(os.getpid())
    if problem := bento.missing(bento.REVIVAL):
        LOG.warning("a worker that dies, or stands still, is left to BentoML: %s", problem)
        return
    settings = process.settings()
    watch = Watch(settings.hang_seconds).look if settings.hang_seconds else lambda *_: None
    bento.revive(watch, stop_seconds(settings), HURRY)


def stop_seconds(settings: Settings) -> float:
    """How long a worker that was told to end may take, before it is killed."""
    return settings.drain_seconds + settings.request_timeout_seconds + SPARE_SECONDS


class Silence:
    """For how long each worker was not heard of, in time in which its parent was awake itself.

    Only then could it have been heard: after a suspended machine, or a paused container, all workers are late, and
    none of them stands still. One that has not beaten yet starts, however long that takes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked = clock()
        self._last: dict[int, tuple[float, float]] = {}

    def seconds(self, heard: Mapping[int, float]) -> dict[int, float]:
        """By process id; ``heard`` is when each beat last."""
        now = self._clock()
        awake = min(now - self._looked, 2 * bento.LOOK_SECONDS)
        self._looked = now
        self._last = {pid: (at, self._silent(pid, at, awake)) for pid, at in heard.items()}
        return {pid: silent for pid, (_, silent) in self._last.items()}

    def forgive(self, pid: int) -> None:
        """Begin to count anew."""
        self._last[pid] = (self._last[pid][0], 0.0)

    def _silent(self, pid: int, at: float, awake: float) -> float:
        before, silent = self._last.get(pid, (None, 0.0))
        return silent + awake if at == before else 0.0


class Watch:
    """Kills workers of which nothing was heard for ``seconds``."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._silence = Silence(clock)

    def look(self, place: Path, workers: Collection[int]) -> None:
        """Once more; ``workers``: process ids of those whose hearts, in ``place``, should beat."""
        hearts: Mapping[int, Beat] = beats(place)
        silent = self._silence.seconds({pid: beat.at for pid, beat in hearts.items() if pid in workers})
        for pid, seconds in silent.items():
            if seconds >= self._seconds:
                LOG.error("worker (process %d) stood still for %.0f s: it is killed and started anew", pid, seconds)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                self._silence.forgive(pid)  # where the kernel holds it, it takes longer: this is not said each time
