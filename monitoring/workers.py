"""Which workers of a server are ready, as metrics; what each tells the others, and its parent, once a second.

A worker that is killed, or stands still, cannot say so. So each has a heart: a file beside the metrics that says when
its event loop last turned, and whether it was ready then. The clock is the monotonic one, which is the same in all
processes of a machine and stands still while the machine sleeps.
"""

import fcntl
import logging
import os
import re
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from prometheus_client import CollectorRegistry, Gauge

from monitoring import multiprocess

LOG = logging.getLogger("bentoml.fraud")
BEAT_SECONDS = 1.0
LATE_SECONDS = 5.0
"""A worker that was not heard of for so long answers nobody, and is not counted as ready."""
_LOCK_FILE = "fraud_files.lock"
_HEART = re.compile(multiprocess.HEART_FILE.format(r"(\d+)"))
_BEAT = struct.Struct("<d?")


@contextmanager
def held(alone: bool = False) -> Iterator[bool]:
    """While the metrics' files are read together, or, ``alone``, while some become one: none is counted twice.

    Whether it can be, at once: a worker that stands still may hold them, and nobody waits for it on an event loop, or
    before what is counted each second.
    """
    place = multiprocess.folder()
    with (place / _LOCK_FILE).open("a") if place and place.is_dir() else nullcontext() as file:
        yield file is None or _locked(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)


def _locked(file: IO[str], mode: int) -> bool:
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def merge_ended() -> None:
    """Keep what workers that are gone have counted in one file of a kind: their files would pile up.

    Where they are read just now it is done the next time. Where the worker that does it is killed just before the last
    step, these counts are there twice from then on.
    """
    if all(len(paths) < 2 for paths in multiprocess.ended_files().values()):
        return
    with held(alone=True) as is_held:
        for into, paths in multiprocess.ended_files().items() if is_held else ():
            if len(paths) > 1:
                multiprocess.merge(paths, into)
                for path in set(paths) - {into}:
                    path.unlink()


class Beat(NamedTuple):
    """The last of one worker: monotonic seconds, and whether the worker was ready to answer."""

    at: float
    ready: bool

    def counts(self) -> bool:
        """Whether the worker is ready now, as far as anybody can tell."""
        return self.ready and time.monotonic() - self.at < LATE_SECONDS


class WorkerMetrics:
    """The ``fraud_workers_*`` metrics, and the heart of this worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        gauge = partial(Gauge, registry=registry)
        words = "Workers that hold an exact model, and do not stand still."
        self._ready = gauge("fraud_workers_ready", words, multiprocess_mode="livemostrecent")
        words = "Workers that there should be."
        self._configured = gauge("fraud_workers_configured", words, multiprocess_mode="livemostrecent")
        words = "Workers that refused their model: damaged or not exact."
        self._refused = gauge("fraud_workers_refused", words, multiprocess_mode="livesum")
        self._is_ready = self._is_lost = False
        self._beat_at = time.monotonic()
        if heart := self._heart():
            heart.unlink(missing_ok=True)  # of a process that had this id before

    def expect(self, workers: int) -> None:
        """Publish how many there should be."""
        self._configured.set(workers)

    def ready(self, is_ready: bool = True) -> None:
        """Publish that this worker answers, or that it does so no more."""
        self._is_ready = is_ready
        self.beat()
        self.publish()

    def refuse(self, is_refused: bool = True) -> None:
        """Publish that this worker serves nothing, because its model is damaged or not exact."""
        self._refused.set(is_refused)

    def beat(self) -> None:
        """Tell the others that this worker's event loop turns; where the folder went nobody hears it."""
        self._beat_at = time.monotonic()
        if heart := self._heart():
            with suppress(OSError):
                descriptor = os.open(heart, os.O_WRONLY | os.O_CREAT, 0o644)
                os.write(descriptor, _BEAT.pack(self._beat_at, self._is_ready))  # in place: nobody finds half of it
                os.close(descriptor)

    @staticmethod
    def _heart() -> Path | None:
        place = multiprocess.folder()
        return place / multiprocess.HEART_FILE.format(os.getpid()) if place else None

    def publish(self) -> None:
        """Count the ready ones, over all workers; of this one its own word is taken, for its file may be gone."""
        place = multiprocess.folder()
        others = [beat for pid, beat in beats(place).items() if pid != os.getpid()] if place else []
        self._ready.set(sum(beat.counts() for beat in (Beat(self._beat_at, self._is_ready), *others)))

    def look_after_files(self) -> None:
        """Say once that the metrics of this worker cannot be read any more; let those be made that are still to come.

        Without the folder a call that is the first of its kind would fail, and so would a worker that is started.
        """
        place = multiprocess.lost()
        if place and not self._is_lost:
            LOG.error("%s was removed under the server: /metrics answers 503 until it is started anew", place)
        if place:
            with suppress(OSError):
                place.mkdir(parents=True, exist_ok=True)
        self._is_lost = place is not None


def beats(place: Path) -> dict[int, Beat]:
    """The last beat of each worker that has its heart in ``place``, by process id; of none where the folder went."""
    found = {}
    for path in place.glob(multiprocess.HEART_FILE.format("*")):
        name = _HEART.fullmatch(path.name)
        with suppress(OSError, struct.error):  # removed meanwhile; not written yet
            if name:
                found[int(name[1])] = Beat(*_BEAT.unpack(path.read_bytes()))
    return found
