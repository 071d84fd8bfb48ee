"""``BENTOML_HOME``: where it is, and that one server at a time runs on it.

BentoML keeps its workers' metrics there and empties that folder at each start: a second server would take the first
one's away. So the parent of the workers holds a lock, which goes with the process, however it ends.
"""

import os
from contextlib import suppress
from errno import EACCES, EAGAIN
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import cache
from pathlib import Path

from fraud.errors import SettingsError

LOCK = "fraud_server.lock"


def folder() -> Path:
    """Where models are stored, and what a server needs while it runs; found as BentoML finds it."""
    return Path(os.path.expandvars(os.environ.get("BENTOML_HOME") or "~/bentoml")).expanduser()


def history_path(version: str) -> Path:
    """Where the states of keys that a model goes on from are kept (``fraud.replay.state_file``): not in its entry."""
    return folder() / "fraud_history" / f"{version}.parquet"


@cache
def claim(home: Path) -> None:
    """Hold ``home`` until this process ends; processes that it starts do not.

    A home that cannot be written, as in a container with a read-only root, or that knows no locks is not held: BentoML
    keeps no metrics where it cannot write. Raises SettingsError when another server holds it.
    """
    _lock(home)


def check_unclaimed(home: Path) -> None:
    """Raise SettingsError when a server holds ``home``: before long work, as ``claim`` would after it."""
    descriptor = _lock(home)
    if descriptor is not None:
        os.close(descriptor)


def _lock(home: Path) -> int | None:
    """The descriptor of the locked file, open until it is closed; None where there can be none."""
    try:
        descriptor = os.open(home / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:
        return None
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace")
        os.close(descriptor)
        if error.errno in (EAGAIN, EACCES):
            raise _held(home, holder) from None
        return None
    with suppress(OSError):  # a full disk; who it is only helps
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d" % os.getpid())
    return descriptor


def _held(home: Path, holder: str) -> SettingsError:
    return SettingsError(
        f"another server (process {holder or 'unknown'}) runs on BENTOML_HOME {home}, and this one would wipe its "
        "metrics; stop that one, or give this one a BENTOML_HOME of its own"
    )
