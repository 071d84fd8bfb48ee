"""Finished pieces of an output that is being written: what an interrupted run leaves, and the next one goes on from.

They lie beside the output, where others may write too: only a folder that is our own is used, and of its pieces only
those that say that they belong there.
"""

import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow
import pyarrow.parquet

from fraud.errors import DataError

_STATE, _LOCK = "state.json", "lock"
_FACTS, _FIRST_ROW = b"fraud_facts_sha256", b"fraud_first_row"

Fits = Callable[[pyarrow.Table], bool]
"""Whether a piece has the columns and rows that a piece of this output must have."""


class Pieces:
    """Parquet files in a folder of their own, numbered from 0, each written whole."""

    def __init__(self, folder: Path, facts: dict[str, Any], fits: Fits) -> None:
        self.folder = folder
        self._facts = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        self._fits = fits
        self._paths: list[Path] = []
        self._names: list[str] | None = None
        self.rows = 0
        """How many rows the pieces hold."""
        while (piece := self._next_kept()) is not None:
            self._paths.append(self._next_path())
            self._names = piece.schema.names
            self.rows += len(piece)

    def tables(self) -> Iterator[pyarrow.Table]:
        """The pieces in their order."""
        for path in self._paths:
            yield _read(path).replace_schema_metadata(None)

    def add(self, piece: pyarrow.Table) -> None:
        """Write the next piece."""
        path = self._next_path()
        part = path.with_suffix(".part")
        pyarrow.parquet.write_table(piece.replace_schema_metadata(self._place()), part, write_page_checksum=True)
        part.rename(path)
        self._paths.append(path)
        self.rows += len(piece)

    def _next_path(self) -> Path:
        return self.folder / f"{len(self._paths):06d}.parquet"

    def _place(self) -> dict[bytes, bytes]:
        """What the next piece says of itself: what it was made from, and where it begins."""
        return {_FACTS: self._facts.encode(), _FIRST_ROW: str(self.rows).encode()}

    def _next_kept(self) -> pyarrow.Table | None:
        """The next piece of an earlier run; None when it is missing, damaged, as after a power cut, or does not fit."""
        try:
            piece = _read(self._next_path())
        except (pyarrow.ArrowException, OSError):
            return None
        said = piece.schema.metadata or {}
        belongs = all(said.get(key) == value for key, value in self._place().items())
        alike = self._names in (None, piece.schema.names)
        return piece if belongs and alike and self._fits(piece) else None


@contextmanager
def beside(target: Path, facts: dict[str, Any], fits: Fits) -> Iterator[Pieces]:
    """The pieces of ``target``, in a hidden folder beside it, as long as they were made from the same ``facts``.

    The folder goes at the end and on an error. It stays, if it holds a piece, when the run is interrupted or killed.
    Raises DataError when another process works on the same target, or when what stands there is not ours.
    """
    folder = target.with_name(f".{target.name}.part.d")
    if not os.path.lexists(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    owner = _owner_here(target.parent)
    _refuse_foreign(folder, stat.S_ISDIR, owner)
    with _open_no_link(folder / _LOCK) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataError(f"{target}: another process is writing it") from None
        for path in folder.iterdir():
            _refuse_foreign(path, stat.S_ISREG, owner)
        try:
            _keep_only(folder, facts)
            yield Pieces(folder, facts, fits)
        except (KeyboardInterrupt, SystemExit):
            if not any(folder.glob("*.parquet")):
                shutil.rmtree(folder)
            raise
        except BaseException:
            shutil.rmtree(folder)
            raise
        shutil.rmtree(folder)


def _owner_here(folder: Path) -> int:
    """Whose the files are that we make there: on some network disks not our own."""
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_uid


def _refuse_foreign(path: Path, is_expected: Callable[[int], bool], owner: int) -> None:
    """Raise DataError for a link, for another kind of file than expected, and for what is somebody else's."""
    status = path.lstat()
    if not is_expected(status.st_mode):
        raise DataError(f"{path}: is not what an interrupted run leaves there, but a link or the like; remove it")
    if status.st_uid != owner:
        raise DataError(f"{path}: belongs to another user (uid {status.st_uid}); remove it, or choose another output")


def _open_no_link(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b")


def _read(path: Path) -> pyarrow.Table:
    return pyarrow.parquet.read_table(path, partitioning=None, page_checksum_verification=True)


def _keep_only(folder: Path, facts: dict[str, Any]) -> None:
    """Remove pieces that were made from anything else than ``facts``."""
    state = folder / _STATE
    if not state.exists() or state.read_bytes() != json.dumps(facts).encode():
        for path in folder.iterdir():
            if path.name != _LOCK:
                path.unlink()
        part = state.with_suffix(".part")
        part.write_text(json.dumps(facts))
        part.rename(state)
