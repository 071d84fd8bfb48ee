"""Where tables come from: files, folders, patterns and S3, the same for every command that reads some.

An object of S3 comes into a temporary folder, with the SHA-256 that it was pushed with; it is shown by its address.
"""

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import glob
from pathlib import Path

from fraud.argument_types import TABLES
from fraud.errors import DataError
from fraud.remote import datasets, s3
from fraud.tables import packing, refusals, table

_S3 = "s3://"
_PARQUET, _PACKED = ("|".join(map(re.escape, suffixes)) for suffixes in (table.PARQUET_SUFFIXES, packing.SUFFIXES))
_TABLE = re.compile(rf"part-.*|.*({_PARQUET}|\.(csv|tsv)({_PACKED})?)", re.IGNORECASE)
"""Names of tables in a folder; Spark and Hadoop write parts, some without a suffix."""


@dataclass(frozen=True)
class Source:
    """One table."""

    name: str
    """Its path or its address, as it was given: to be shown."""

    @property
    def is_remote(self) -> bool:
        """Whether it has to be fetched."""
        return self.name.startswith(_S3)

    @property
    def file_name(self) -> str:
        """The last part of its name."""
        return self.name.rsplit("/", 1)[-1]

    def modified(self) -> float:
        """When it was changed last, seconds since the epoch. Raises RegistryError."""
        return s3.modified(self.name) if self.is_remote else Path(self.name).stat().st_mtime

    @contextmanager
    def local(self) -> Iterator[Path]:
        """The file, fetched for as long as it is used; what is said of it inside says its address.

        Raises RegistryError when S3 fails, or a pushed file was changed.
        """
        if not self.is_remote:
            yield Path(self.name)
            return
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / self.file_name
            facts = datasets.pushed(self.name)
            s3.download(self.name, target, sha256=facts.sha256 if facts else None)
            try:
                yield target
            except DataError as error:
                raise DataError(str(error).replace(str(target), self.name)) from None


def find(sources: Sequence[str]) -> list[Source]:
    """The tables that are named, each once: files, folders (the tables in them), patterns with ``*``; also in S3.

    Raises DataError where there are none, RegistryError when S3 fails.
    """
    names = [name for source in sources for name in _names(source)]
    return [Source(name) for name in dict.fromkeys(names)]


def is_one(source: str) -> bool:
    """Whether a source names one table, not a folder or a pattern."""
    if source.startswith(_S3):
        return not source.endswith("/") and "*" not in source
    return Path(source).is_file() or not (Path(source).is_dir() or any(one in source for one in "*?["))


def below(uri: str) -> list[str]:
    """Addresses of the data files below an S3 address; a README beside them is none, but what was pushed is one.

    Raises DataError when there are none, RegistryError when S3 fails.
    """
    keys = s3.keys(uri)
    pushed = {key.removesuffix(datasets.SUM) for key in keys if key.endswith(datasets.SUM)}
    files = [key for key in keys if key in pushed or _is_table(key)]
    if not files:
        raise refusals.nothing_at(uri)
    return files


def _names(source: str) -> list[str]:
    if source.startswith(_S3):
        return _objects(source)
    if "://" in source:
        raise refusals.no_source(repr(source), TABLES)
    path = Path(source)
    if path.is_dir():
        names = [
            str(one) for one in sorted(path.iterdir()) if one.is_file() and _is_table(one.name) and not _is_void(one)
        ]
    elif path.exists() or not any(one in source for one in "*?["):
        return [source]
    else:
        found = sorted(glob(source, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
        names = [name for name in found if os.path.isfile(name) and not _is_void(Path(name))]  # noqa: PTH113
    if not names:
        raise refusals.nothing_at(source)
    return names


def _objects(uri: str) -> list[str]:
    if "*" in uri:
        matches = [
            key for key in s3.keys(uri[: uri.index("*")]) if _matches(key, uri) and not key.endswith(datasets.SUM)
        ]
        if not matches:
            raise refusals.nothing_at(uri)
        return matches
    if uri.endswith("/"):
        return below(uri)
    if not s3.split(uri)[1]:
        raise DataError(f"{uri}: expected s3://bucket/key, or a folder that ends in /")
    return [uri]


def _matches(key: str, pattern: str) -> bool:
    """As in a file system: ``*`` stands for no slash, and for no name that begins with a dot."""
    parts, wanted = key.split("/"), pattern.split("/")
    dotted = [part.startswith(".") and not want.startswith(".") for part, want in zip(parts, wanted, strict=False)]
    return len(parts) == len(wanted) and not any(dotted) and all(map(fnmatchcase, parts, wanted))


def _is_table(name: str) -> bool:
    """Not what is hidden, nor the marks that Spark leaves beside its parts."""
    last = name.rsplit("/", 1)[-1]
    return not last.startswith((".", "_")) and _TABLE.fullmatch(last) is not None


def _is_void(path: Path) -> bool:
    """A part without rows, as Spark writes it."""
    return path.name.startswith("part-") and path.stat().st_size == 0
