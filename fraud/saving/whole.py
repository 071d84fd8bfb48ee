"""A version reaches the local store whole, with what is kept beside it, or not at all, whatever stops it.

BentoML takes back an entry that it could not copy, but neither one that was interrupted nor one that came as far as
``latest``, which it may leave empty: then no model is found at all.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_UN, flock
from pathlib import Path

from fraud.atomic import replacing
from fraud.errors import ModelError
from fraud.home import folder as home_folder
from fraud.home import history_path
from fraud.settings import MODEL_NAME
from fraud.store import rows_path

_LATEST = "latest"  # where BentoML keeps the name of the newest version


@contextmanager
def whole(version: str) -> Iterator[None]:
    """Take back what was written of ``version`` when what is within fails or is interrupted; what was there stays.

    One at a time writes to a store, others wait: what is taken back is never what another brought meanwhile.
    Raises ModelError, which names the places, instead of an OSError.
    """
    with _alone():
        entries = home_folder() / "models" / MODEL_NAME
        places = (entries / version, rows_path(version), history_path(version))
        new = [path for path in places if not path.exists()]
        latest = _text(entries / _LATEST)
        try:
            yield
        except BaseException as error:
            for path in new:
                _remove(path)
            if entries / version in new and _text(entries / _LATEST) in ("", version):
                _put_back(entries / _LATEST, latest)
            if isinstance(error, OSError):
                raise ModelError.not_saved(home_folder(), tempfile.gettempdir(), error) from None
            raise


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the folder of the models. One that cannot be made or knows no locks is not held."""
    folder, descriptor = home_folder() / "models", None
    with suppress(OSError):  # what is written next says it
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        if descriptor is not None:
            with suppress(OSError):
                flock(descriptor, LOCK_EX)
        yield
    finally:
        if descriptor is not None:
            with suppress(OSError):
                flock(descriptor, LOCK_UN)  # a process that was forked meanwhile has it too
            os.close(descriptor)


def check_writable() -> None:
    """Raise ModelError unless a model can be saved: before the long work, not after it."""
    home = home_folder()
    try:
        home.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=home).close()
    except OSError as error:
        raise ModelError.not_writable(f"BENTOML_HOME {home}", error) from None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink() if path.is_file() else shutil.rmtree(path)


def _put_back(path: Path, text: str | None) -> None:
    """Without the file BentoML finds the newest version itself, and writes it."""
    try:
        if not text:
            path.unlink()
            return
        with replacing(path) as part:
            part.write_text(text)
    except OSError:
        _remove(path)
