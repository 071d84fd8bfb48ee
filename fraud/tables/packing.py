"""How a file is compressed, by its first bytes, and its content as a stream of bytes."""

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow

from fraud.errors import DataError
from fraud.tables import foreign, refusals

SUFFIXES = (".gz", ".bz2", ".xz", ".zst", ".zip")
"""What the names of compressed files usually end in."""

DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, pyarrow.ArrowException)
"""What a stream raises when its data is damaged or cut off; some are OSErrors without a number."""

_FIRST_BYTES = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "bz2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
    "zip": re.compile(rb"PK\x03\x04"),
}
_TABLES = (".csv", ".tsv", ".txt")
_BUFFER = 2**18


@dataclass(frozen=True)
class Unpacked:
    """The content of a file, and how far it was read."""

    stream: IO[bytes]
    compression: str | None
    member: str | None
    share: Callable[[], float]
    """The share of the file that was read, 0 to 1."""


@contextmanager
def opened(path: Path) -> Iterator[Unpacked]:
    """The content of a file that holds one table. Raises DataError for an archive of several, or of none."""
    with path.open("rb") as file:
        kind = kind_of(file.read(16))
        file.seek(0)
        if kind == "zip":
            with zipfile.ZipFile(file) as archive:
                yield _member(path, archive)
            return
        size = path.stat().st_size
        with _STREAMS[kind](file) if kind else file as stream:
            yield Unpacked(stream, kind, None, lambda: min(file.tell() / size, 1.0))


def kind_of(first: bytes) -> str | None:
    """How what begins with these bytes is compressed."""
    return next((kind for kind, magic in _FIRST_BYTES.items() if magic.match(first)), None)


def _zstd(file: IO[bytes]) -> Any:  # noqa: ANN401 - pyarrow ships no types
    return io.BufferedReader(pyarrow.CompressedInputStream(pyarrow.PythonFile(file), "zstd"), _BUFFER)


_STREAMS: dict[str, Callable[[Any], Any]] = {
    "gzip": lambda file: gzip.GzipFile(fileobj=file, mode="rb"),
    "bz2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
    "zstd": _zstd,
}


def _member(path: Path, archive: zipfile.ZipFile) -> Unpacked:
    """The one table of a zip archive; what a system or a person puts beside it is left out."""
    files = [one for one in archive.infolist() if not one.is_dir() and not _is_hidden(one.filename)]
    if office := foreign.of_archive([one.filename for one in files]):
        raise refusals.other_format(path, *office)
    tables = files if len(files) == 1 else [one for one in files if one.filename.lower().endswith(_TABLES)]
    if len(tables) != 1:
        raise refusals.archive(path, [one.filename for one in tables or files])
    [table] = tables
    if table.flag_bits & 1:
        raise DataError(f"{path}: {table.filename} in this zip archive is encrypted; unzip it first")
    try:
        stream = archive.open(table)
    except NotImplementedError as error:  # what zipfile raises for a method of compression that it does not know
        raise DataError(f"{path}: a zip archive that cannot be read here ({error}); unzip it first") from None
    size = max(table.file_size, 1)
    return Unpacked(stream, "zip", table.filename, lambda: min(stream.tell() / size, 1.0))


def _is_hidden(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rsplit("/", 1)[-1].startswith(".")
