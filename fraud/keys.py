"""API keys: whoever calls sends one as ``Authorization: Bearer KEY``; the service knows only their SHA-256.

A key is 256 random bits, so a plain hash of it cannot be turned back by guessing, as the hash of a password could.
That is also why hashes need no comparison in constant time: whoever measured one out would still need its key.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import NamedTuple

NAME = r"[A-Za-z0-9._-]{1,64}"
"""What a key may be called, as a pattern of the whole text."""
KINDS = ("score", "label", "read")
"""What a key may be good for: to score, to write labels, to read the model card."""
FORM = (
    "64 hexadecimal digits for each key, or NAME:DIGITS (a name of up to 64 letters, digits, dots, hyphens and "
    "underscores, and in square brackets behind it what the key is good for: score, label or read, several joined by "
    "+), separated by commas or line breaks, as `python -m fraud key` prints them"
)
_SHOWN_DIGITS = 8
_SCHEME = b"bearer "
_ENTRY = re.compile(rf"(?:({NAME})(?:\[([a-z+ ]+)\])?:)?([0-9a-fA-F]{{64}})")


class Key(NamedTuple):
    """What a key is called, and what it is good for."""

    name: str
    kinds: frozenset[str]


def make() -> tuple[str, str]:
    """A new key, and its SHA-256 in hexadecimal for ``FRAUD_API_KEYS`` or ``FRAUD_METRICS_KEYS``."""
    key = secrets.token_urlsafe(32)
    return key, hashlib.sha256(key.encode()).hexdigest()


def make_secret() -> str:
    """A new ``FRAUD_KEY_SECRET``: 256 random bits in hexadecimal."""
    return secrets.token_hex(32)


def entry(name: str, kinds: Iterable[str], digest: str) -> str:
    """A key as ``listed`` reads it."""
    good_for = "+".join(kinds)
    return f"{name}[{good_for}]:{digest}" if good_for else f"{name}:{digest}"


def listed(text: str) -> dict[bytes, Key]:
    """Each key of a list of hashes, by its digest of 32 bytes.

    A key without a name is called by the first eight digits of its hash; one without a kind is good for everything.
    Raises ValueError, which says what was expected and nothing of the text.
    """
    found, digests = dict[bytes, Key](), dict[str, bytes]()
    for each in filter(None, map(str.strip, re.split(r"[,\r\n]", text))):
        match = _ENTRY.fullmatch(each)
        kinds = frozenset(re.split(r" *\+ *", match[2].strip()) if match and match[2] else KINDS)
        if match is None or not kinds <= set(KINDS):
            raise ValueError(FORM)
        digest = bytes.fromhex(match[3])
        key = Key(match[1] or match[3][:_SHOWN_DIGITS].lower(), kinds)
        if found.setdefault(digest, key) != key or digests.setdefault(key.name, digest) != digest:
            raise ValueError("one name for each key, and each name once")
    if not found:
        raise ValueError(FORM)
    if {hashlib.sha256(name.encode()).digest() for name in digests} & set(found):  # names stand in the log
        raise ValueError("a name for the key, not the key itself, nor another one")
    return found


def named(text: str) -> dict[bytes, str]:
    """The name of each key of a list of hashes, by the key's digest of 32 bytes. Raises ValueError as ``listed``."""
    return {digest: key.name for digest, key in listed(text).items()}


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
