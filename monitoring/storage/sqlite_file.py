"""The file of a SQLite database, watched: another one in its place is noticed, said, and written to from its start."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from monitoring.storage.revisions import NotReadyError

LOG = logging.getLogger("bentoml.fraud")

_HOLD = getattr(os, "O_PATH", None)  # Linux; closing such a descriptor lets go of none of SQLite's locks


class ReplacedError(OSError):
    """Another file has come in the place of the one that was written to."""


class SQLiteFile:
    """Whether ``path`` is still the file that was remembered.

    Where the system can, the file is held meanwhile: the number of a deleted one would be given to the next.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opening = Lock()
        self._ahead = [path.with_name(f"{path.name}-{part}") for part in ("wal", "shm")]
        self._known: os.stat_result | None = None
        self._known_ahead: os.stat_result | None = None
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

    def clear(self) -> None:
        """Make way for a file that may be new: its folder, and nothing written ahead for the one before.

        SQLite would put that into the new one. After the last connection was closed there is none, unless others read.
        Raises NotReadyError where the folder cannot be made or written, or the file: in better words than SQLite's.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NotReadyError(str(error)) from None
        _check_writable(self.path.parent)
        if self.path.exists():
            _check_writable(self.path)
        if self.is_lost and self._is_of_another():
            for path in self._ahead:
                path.unlink(missing_ok=True)

    def _is_of_another(self) -> bool:
        """Whether what is written ahead is for the file before: noted by this worker, or last changed before this came.

        Who moves a file with what is written ahead for it moves the file first, or is not told from a worker whose
        transaction was not at its end yet.
        """
        now, ahead = _look(self.path), _look(self._ahead[0])
        if ahead is None or _are_one(ahead, self._known_ahead):
            return ahead is not None
        return now is not None and ahead.st_ctime_ns <= now.st_ctime_ns

    def problem(self) -> str | None:
        """What ``clear`` would refuse, and nothing is made."""
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
        self._known_ahead = _look(self._ahead[0])
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


def _look(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _are_one(one: os.stat_result, other: os.stat_result | None) -> bool:
    return other is not None and os.path.samestat(one, other)
