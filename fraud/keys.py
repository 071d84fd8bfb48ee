"""API keys: whoever calls sends one as ``Authorization: Bearer KEY``; the service knows only their SHA-256.

A key is 256 random bits, so a plain hash of it cannot be turned back by guessing, as the hash of a password could.
That is also why hashes need no comparison in constant time: whoever measured one out would still need its key.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping

NAME = r"[A-Za-z0-9._-]{1,64}"
"""What a key may be called, as a pattern of the whole text."""
FORM = (
    "64 hexadecimal digits for each key, or NAME:DIGITS (a name of up to 64 letters, digits, dots, hyphens and "
    "underscores), separated by commas or line breaks, as `python -m fraud key` prints them"
)
_SHOWN_DIGITS = 8
_SCHEME = b"bearer "
_ENTRY = re.compile(rf"(?:({NAME}):)?([0-9a-fA-F]{{64}})")


def make() -> tuple[str, str]:
    """A new key, and its SHA-256 in hexadecimal for ``FRAUD_API_KEYS`` or ``FRAUD_METRICS_KEYS``."""
    key = secrets.token_urlsafe(32)
    return key, hashlib.sha256(key.encode()).hexdigest()


def make_secret() -> str:
    """A new ``FRAUD_KEY_SECRET``: 256 random bits in hexadecimal."""
    return secrets.token_hex(32)


def named(text: str) -> dict[bytes, str]:
    """The name of each key of a list of hashes, by the key's digest of 32 bytes.

    A key without a name is called by the first eight digits of its hash. Raises ValueError, which says what was
    expected and nothing of the text.
    """
    found, digests = dict[bytes, str](), dict[str, bytes]()
    for entry in filter(None, map(str.strip, re.split(r"[,\r\n]", text))):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise ValueError(FORM)
        digest = bytes.fromhex(match[2])
        name = match[1] or match[2][:_SHOWN_DIGITS].lower()
        if found.setdefault(digest, name) != name or digests.setdefault(name, digest) != digest:
            raise ValueError("one name for each key, and each name once")
    if not found:
        raise ValueError(FORM)
    if {hashlib.sha256(name.encode()).digest() for name in digests} & set(found):  # names stand in the log
        raise ValueError("a name for the key, not the key itself, nor another one")
    return found


class Guard:
    """Lets through who sends one of the keys ``names``: by its SHA-256, a digest of 32 bytes, what a key is called."""

    def __init__(self, names: Mapping[bytes, str]) -> None:
        self._names = dict(names)

    def __call__(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """The name of the key of the request with these headers (names in lower case); None where it may not pass.

        It may with one key, sent once. Takes as long for a thousand keys as for one. Two ``Authorization`` headers let
        nobody pass: a proxy in front may have looked at the other one. Nor does an empty key, whose hash may be set
        where a file was empty.
        """
        credentials = [value for name, value in headers if name == b"authorization"]
        if len(credentials) != 1 or credentials[0][: len(_SCHEME)].lower() != _SCHEME:
            return None
        key = credentials[0][len(_SCHEME) :].strip()
        return self._names.get(hashlib.sha256(key).digest()) if key else None
