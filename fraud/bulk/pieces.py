"""Finished pieces of an output that is being written: what an interrupted run leaves, and the next one goes on from."""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from fraud.errors import DataError

_STATE, _LOCK = "state.json", "lock"


class Pieces:
    """Parquet files in a folder of their own, numbered from 0, each written whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._paths = list(_sound(folder))
        self.rows = sum(pyarrow.parquet.read_metadata(path).num_rows for path in self._paths)
        """How many rows the pieces hold."""

    @property
    def paths(self) -> list[Path]:
        """The pieces in their order."""
        return list(self._paths)

    def add(self, piece: pyarrow.Table) -> None:
        """Write the next piece."""
        path = self.folder / f"{len(self._paths):06d}.parquet"
        part = path.with_suffix(".part")
        pyarrow.parquet.write_table(piece, part)
        part.rename(path)
        self._paths.append(path)
        self.rows += len(piece)


@contextmanager
def beside(target: Path, facts: dict[str, Any]) -> Iterator[Pieces]:
    """The pieces of ``target``, in a hidden folder beside it, as long as they were made from the same ``facts``.

    The folder goes at the end and on an error. It stays, if it holds a piece, when the run is interrupted or killed.
    Raises DataError when another process works on the same target.
    """
    folder = target.with_name(f".{target.name}.part.d")
    folder.mkdir(exist_ok=True)
    with (folder / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataError(f"{target}: another process is writing it") from None
        try:
            _keep_only(folder, facts)
            yield Pieces(folder)
        except (KeyboardInterrupt, SystemExit):
            if not any(folder.glob("*.parquet")):
                shutil.rmtree(folder)
            raise
        except BaseException:
            shutil.rmtree(folder)
            raise
        shutil.rmtree(folder)


def _keep_only(folder: Path, facts: dict[str, Any]) -> None:
    """Remove pieces that were made from anything else than ``facts``."""
    state = folder / _STATE
    if not state.exists() or state.read_text() != json.dumps(facts):
        for path in folder.iterdir():
            if path.name != _LOCK:
                path.unlink()
        part = state.with_suffix(".part")
        part.write_text(json.dumps(facts))
        part.rename(state)


def _sound(folder: Path) -> Iterator[Path]:
    """Pieces from the first on, up to one that is missing or damaged, as after a power cut."""
    number = 0
    while (path := folder / f"{number:06d}.parquet").exists():
        try:
            pyarrow.parquet.read_metadata(path)
        except (pyarrow.ArrowException, OSError):
            return
        yield path
        number += 1
