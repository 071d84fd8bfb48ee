"""What stands in a CSV file besides its values, found from its bytes: packing, encoding, delimiter, decimal mark.

Nothing is guessed in silence: what was found is told, and where two readings are possible the file is refused.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO

from fraud.tables import decimals, foreign, packing, refusals
from fraud.tables.found import DELIMITERS, Found, Reading

_HEAD = 2**16  # bytes
_ROWS = 200  # of the head
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?(?:\r\n|\r|\n|$)', re.IGNORECASE)


def find(path: Path, shape: Reading) -> Found:
    """How the file is to be read. Raises DataError when it is no CSV, or could be read in two ways.

    A file without a decimal mark in its first rows is read on until there is one.
    """
    with packing.opened(path) as unpacked:
        head = unpacked.stream.read(_HEAD)
    if not head:
        raise refusals.no_table(path, "the file is empty")
    if other := foreign.of_bytes(head):
        raise refusals.other_format(path, *other)
    mark, encoding = next((one for one in _MARKS if head.startswith(one[0])), (b"", "utf-8"))
    found = Found(None, None, encoding, unpacked.compression, unpacked.member, len(mark))
    found = _separated(path, found, head[len(mark) :], is_whole=len(head) < _HEAD)
    with records(path, found) as rows:
        return replace(found, decimal=decimals.find(path, rows, found, shape))


def _separated(path: Path, found: Found, head: bytes, *, is_whole: bool) -> Found:
    """With the delimiter, and the header's place behind a line that says it."""
    text = codecs.getincrementaldecoder(found.encoding)().decode(head, final=is_whole)
    if other := foreign.of_text(text):
        raise refusals.other_format(path, *other)
    said = _SEPARATOR_LINE.match(text)
    if not said:
        return replace(found, delimiter=_delimiter(path, text, is_whole=is_whole))
    if said[1] not in DELIMITERS:
        raise refusals.unknown_delimiter(path, said[1])
    return replace(found, delimiter=said[1], start=found.start + len(said[0].encode(found.encoding)))


@contextmanager
def text(path: Path, found: Found) -> Iterator[IO[str]]:
    """The file from its header on, with its line ends as they are."""
    with packing.opened(path) as unpacked:
        unpacked.stream.read(found.start)
        yield decoded(unpacked.stream, found)


def decoded(stream: IO[bytes], found: Found) -> IO[str]:
    """The text of a stream of bytes."""
    return io.TextIOWrapper(stream, encoding=found.encoding, newline="")


@contextmanager
def records(path: Path, found: Found) -> Iterator[Iterator[list[str]]]:
    """The fields of the header and of each row; blank lines are none, as for pandas.

    Raises DataError where pandas would lose a delimiter: that of an empty first field after an empty line that ends in
    CR.
    """
    with text(path, found) as lines:
        yield _records(path, lines, found)


def _records(path: Path, lines: IO[str], found: Found) -> Iterator[list[str]]:
    after_blank = False
    for record in csv.reader(lines, delimiter=found.separator):
        if _is_blank(record):
            after_blank = True
            continue
        if after_blank and not record[0] and "\r" in _line_ends(lines):
            between = DELIMITERS[found.separator][:-1]
            problem = f"a row begins with a {between} after an empty line; remove that line"
            raise refusals.malformed(path, "CSV", problem)
        after_blank = False
        yield record


def _is_blank(record: list[str]) -> bool:
    return not record or (len(record) == 1 and record[0].isspace())


def _line_ends(lines: IO[str]) -> tuple[str, ...]:
    """Those that were met so far."""
    ends: tuple[str, ...] | str | None = getattr(lines, "newlines", None)
    return ends if isinstance(ends, tuple) else (ends or "",)


def _delimiter(path: Path, head: str, *, is_whole: bool) -> str | None:
    """The one that gives the header several fields and all rows as many; None when none gives several."""
    readings = {one: _fields(head, one, is_whole) for one in DELIMITERS}
    several = {one: rows for one, rows in readings.items() if rows and len(rows[0]) > 1}
    even = {one: rows for one, rows in several.items() if len({len(row) for row in rows[1:]} or {2}) == 1}
    even = {one: rows for one, rows in even.items() if len(rows) < 2 or len(rows[1]) > 1}
    clean = {one: rows for one, rows in even.items() if not any('"' in field for row in rows for field in row)}
    likely = clean or even or several
    if even and len(likely) > 1:
        raise refusals.two_delimiters(path, *(DELIMITERS[one] for one in list(likely)[:2]))
    return max(likely, key=lambda one: len(likely[one][0]), default=None)


def _fields(head: str, delimiter: str, is_whole: bool) -> list[list[str]]:
    """The first records; without the last one where it may be cut off."""
    lines = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
    try:
        rows = list(islice((row for row in lines if not _is_blank(row)), _ROWS + 1))
    except csv.Error:
        return []
    return rows if is_whole else rows[:-1]
