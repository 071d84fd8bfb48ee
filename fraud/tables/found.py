"""How a CSV file is to be read, as the caller says it, and what was found of the file itself."""

from dataclasses import dataclass

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""What may stand between fields, and its name."""

_DECIMALS = {".": "decimal points", ",": "decimal commas"}
_ENCODINGS = {"utf-8": "UTF-8", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}


@dataclass(frozen=True)
class Reading:
    """What the caller knows of the columns."""

    text: frozenset[str] | None
    """Those whose values stay text as they are written, empty ones too; None: all of them."""
    missing: tuple[str, ...] = ()
    """What people write for a missing value in the others."""
    known: frozenset[str] | None = None
    """Columns that may be there: any other is text too; None: nobody knows."""

    def is_text(self, name: str) -> bool:
        """Whether the values of this column stay text."""
        if self.text is None or name in self.text:
            return True
        return self.known is not None and name not in self.known


AS_WRITTEN = Reading(None)
"""Every column as text."""


@dataclass(frozen=True)
class Found:
    """What was found of a CSV file from its bytes, whatever its name says."""

    delimiter: str | None
    """None: one column."""
    decimal: str | None
    """None: no number of the file has a decimal mark."""
    encoding: str
    compression: str | None = None
    member: str | None = None
    """The table of a zip archive."""
    start: int = 0
    """Bytes before the header, once it is unpacked: a byte-order mark and a line such as ``sep=;``."""

    @property
    def separator(self) -> str:
        """What to take fields apart by; in a file of one column nothing stands between them."""
        return self.delimiter or ","

    def words(self) -> str:
        """For people: ``CSV, semicolons, decimal commas, UTF-16, gzip``."""
        packed = f"{self.compression} ({self.member})" if self.member else self.compression
        decimal = _DECIMALS[self.decimal] if self.decimal else None
        between = DELIMITERS[self.delimiter] if self.delimiter else "one column"
        return ", ".join(filter(None, ("CSV", between, decimal, _ENCODINGS[self.encoding], packed)))
