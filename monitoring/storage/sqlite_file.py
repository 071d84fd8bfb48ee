"""The file of a SQLite database, watched: another one in its place is noticed, said, and written to from its start."""

import logging
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from threading import Lock

from monitoring.storage.revisions import NotReadyError

LOG = logging.getLogger("bentoml.fraud")

_ALONE_SECONDS = 5.0
"""How long another process is waited for that prepares the file."""
_HOLD = getattr(os, "O_PATH", None)  # Linux; closing such a descriptor lets go of none of SQLite's locks


class ReplacedError(OSError):
    """Another file has come in the place of the one that was written to."""


class SQLiteFile:
    """Whether ``path`` is still the file that was remembered.

    Where the system can, the file is held meanwhile: the number of a deleted one would be given to the next. A file
    beside it, ``-seen``, says to all processes which one was prepared last.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opening = Lock()
        *self._ahead, self._seen = (path.with_name(f"{path.name}-{part}") for part in ("wal", "shm", "seen"))
        self._known: os.stat_result | None = None
        self._held: int | None = None

    def is_same(self) -> bool:
        """Whether the file is there, is the one that was remembered, and was not emptied."""
        return self._is(self._known)

    def _is(self, known: os.stat_result | None) -> bool:
        now = _look(self.path)
        return now is not None and now.st_size > 0 and _are_one(now, known)

    @property
    def is_lost(self) -> bool:
        """Whether a file was remembered and is there no more."""
        return self._known is not None and not self.is_same()

    def make_way(self) -> None:
        """Make its folder. Raises NotReadyError where that or the file cannot be written, in words."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NotReadyError(str(error)) from None
        _check_writable(self.path.parent)
        if self.path.exists():
            _check_writable(self.path)

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Around whatever prepares a file that may be new; one process at a time.

        What was written ahead for the file before goes: SQLite would put it into the new one, page by page, where
        somebody had the old one open. Once one process has prepared the new file, what is ahead is for that. Raises
        NotReadyError, as ``make_way``, and where another process prepares it for long.
        """
        self.make_way()
        with self._alone() as seen:
            now = _look(self.path)
            if self.is_lost and (now is None or now.st_size == 0 or os.pread(seen, 64, 0) != _name(now)):
                for path in self._ahead:
                    path.unlink(missing_ok=True)
            yield
            if (now := _look(self.path)) is not None:
                os.ftruncate(seen, 0)
                os.pwrite(seen, _name(now), 0)

    @contextmanager
    def _alone(self) -> Iterator[int]:
        try:
            is_new = not self._seen.exists()
            seen = os.open(self._seen, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise NotReadyError(str(error)) from None
        try:
            if is_new:
                self._give(seen)
            ends = time.monotonic() + _ALONE_SECONDS
            while not _locked(seen):
                if time.monotonic() > ends:
                    raise NotReadyError(f"{self._seen}: another process has prepared {self.path} for long")
                time.sleep(0.01)
            yield seen
        finally:
            os.close(seen)

    def _give(self, descriptor: int) -> None:
        """To whom the database belongs, where root looks first; as SQLite does with what it writes ahead."""
        whose = _look(self.path) or self.path.parent.stat()
        if os.geteuid() == 0:
            os.fchown(descriptor, whose.st_uid, whose.st_gid)
        if stat.S_ISREG(whose.st_mode):
            with suppress(OSError):
                os.fchmod(descriptor, stat.S_IMODE(whose.st_mode))

    def problem(self) -> str | None:
        """What ``make_way`` would refuse, and nothing is made."""
        folder = next(path for path in self.path.parents if path.exists())
        try:
            if not folder.is_dir():
                raise NotReadyError(f"{folder} is no folder: FRAUD_DATABASE_URL names {self.path}")
            for path in (folder, self.path):
                if path.exists():
                    _check_writable(path)
        except NotReadyError as error:
            return str(error)
        return None

    def remember(self, *, emptied: bool) -> bool:
        """Take the file that is there now for the right one; whether it is another than before, which is said."""
        is_other = self._known is not None and (emptied or self.is_lost)
        if is_other:
            LOG.warning("%s was deleted, emptied or replaced: what it held is not there, new rows go on", self.path)
        self._let_go()
        self._known = _look(self.path)
        if _HOLD is not None and self._known is not None:
            self._held = os.open(self.path, _HOLD)
        return is_other

    @contextmanager
    def written(self) -> Iterator[None]:
        """Around a transaction and its connection. Raises ReplacedError where it went into a file that is gone.

        Another thread may meanwhile have remembered the file that came in its place.
        """
        before = self._known
        yield
        if before is not None:
            self._compare(before)

    def check(self) -> None:
        """Raise ReplacedError where the file is not the one that was remembered."""
        if self._known is not None:
            self._compare(self._known)

    def _compare(self, known: os.stat_result) -> None:
        if not self._is(known):
            raise ReplacedError(f"{self.path} was deleted, emptied or replaced while it was written")

    def _let_go(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def __del__(self) -> None:
        """With its engine."""
        self._let_go()


def _check_writable(path: Path) -> None:
    if not os.access(path, os.W_OK):
        raise NotReadyError(
            f"{path} belongs to user {path.stat().st_uid} and cannot be written by user {os.geteuid()}, the service's; "
            f"`chown {os.geteuid()} {path}`, or mount it to be written"
        )


def _locked(descriptor: int) -> bool:
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except OSError:
        return False
    return True


def _name(one: os.stat_result) -> bytes:
    """By which a file is known to other processes."""
    return f"{one.st_dev}:{one.st_ino}".encode()


def _look(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _are_one(one: os.stat_result, other: os.stat_result | None) -> bool:
    return other is not None and os.path.samestat(one, other)
