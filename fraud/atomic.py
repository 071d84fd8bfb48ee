"""A file appears whole or not at all: written under a temporary name beside its own, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fraud.errors import DataError, FraudError


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """The temporary name to write to: it becomes ``target`` at the end; on an error it goes, and ``target`` stays."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def new(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """As ``replacing``, for a file that a person asked for: one that is there stays unless ``replace``.

    Raises FraudError when it is there, when its folder is not, or when it cannot be written.
    """
    if target.exists() and not replace:
        raise FraudError.there_already(target, "say --replace, or write to another file")
    if not target.parent.is_dir():
        raise DataError.no_folder(target.parent)
    try:
        with replacing(target) as part:
            yield part
    except OSError as error:
        raise FraudError.not_writable(target, error) from None
