"""Files that are no CSV and no Parquet: told by their first bytes, named, with what to do instead."""

import re
from collections.abc import Sequence

_SAVE = "save the sheet as CSV (UTF-8)"
_UNPACK = "unpack it first"
_EXPORT = "export the table as CSV or Parquet"

_FIRST_BYTES: tuple[tuple[bytes, str, str], ...] = (
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an older Excel workbook (.xls)", _SAVE),
    (rb"%PDF-", "a PDF document", _EXPORT),
    (rb"\{\\rtf", "an RTF document", _EXPORT),
    (rb"PK\x05\x06", "an empty zip archive", "put the table into it"),
    (rb"PK\x03\x04|\x1f\x8b|BZh[1-9]1AY&SY|\xfd7zXZ\x00|\x28\xb5\x2f\xfd", "compressed twice", _UNPACK),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (rb"Rar!\x1a", "a RAR archive", _UNPACK),
    (rb"\x04\x22\x4d\x18", "compressed by LZ4", _UNPACK),
    (rb"\xff\x06\x00\x00sNaPpY", "compressed by Snappy", _UNPACK),
    (rb"PAR1[\x00-\x1f]", "a Parquet file that is cut off, or compressed as a whole", _UNPACK),
    (rb"ARROW1|ORC[\x00-\x1f]|Obj\x01|\x89HDF", "an Arrow, ORC, Avro or HDF5 file", "write it as Parquet"),
    (rb"SQLite format 3\x00", "an SQLite database", _EXPORT),
    (rb"\xff\xfe\x00\x00|\x00\x00\xfe\xff", "UTF-32 text", "save it as UTF-8"),
    (rb"\x80[\x02-\x05]", "a pickled object", "write the table as Parquet"),
)
"""Patterns of first bytes, what they are, and what to do."""

_MARKUP = (
    (
        r"(?i)<!doctype html|<html|<head",
        "an HTML page",
        "download the file itself; it may be a page that asks to log in",
    ),
    (r"<\?xml", "an XML document", _EXPORT),
    (r'\{\s*["}]|\[\s*([\[{"\]]|-?\d)', "JSON", _EXPORT),
)
_TAR = slice(257, 262)
_OFFICE = (
    ("xl/", "an Excel workbook (.xlsx)", _SAVE),
    ("word/", "a Word document", _EXPORT),
    ("content.xml", "an OpenDocument file (.ods)", _SAVE),
    ("Index/", "a Numbers document", _SAVE),
)


def of_bytes(head: bytes) -> tuple[str, str] | None:
    """What a file is that begins so, once it is unpacked, and what to do; None: perhaps a table."""
    for pattern, kind, remedy in _FIRST_BYTES:
        if re.match(pattern, head):
            return kind, remedy
    if head[_TAR] == b"ustar":
        return "a tar archive", _UNPACK
    if b"\x00" in head[:200] and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _with_zeros(head[:200])
    return None


def of_text(text: str) -> tuple[str, str] | None:
    """The same for what begins with this text."""
    start = text.lstrip()
    return next(((kind, remedy) for pattern, kind, remedy in _MARKUP if re.match(pattern, start)), None)


def of_archive(names: Sequence[str]) -> tuple[str, str] | None:
    """The same for a zip archive of files with these names."""
    for start, kind, remedy in _OFFICE:
        if any(name.startswith(start) for name in names):
            return kind, remedy
    return None


def _with_zeros(head: bytes) -> tuple[str, str]:
    halves = (head[::2].count(0), head[1::2].count(0))
    if max(halves) > len(head) // 4 and min(halves) == 0:
        return "UTF-16 text without a byte-order mark", "save it as UTF-8"
    return "binary data", "give a CSV or Parquet file"
