"""API keys: whoever calls sends one as ``Authorization: Bearer KEY``; the service knows only their SHA-256.

A key is 256 random bits, so a plain hash of it cannot be turned back by guessing, as the hash of a password could.
That is also why hashes need no comparison in constant time: whoever measured one out would still need its key.
"""

import hashlib
import secrets
from collections.abc import Iterable

_SCHEME = b"bearer "


def make() -> tuple[str, str]:
    """A new key, and its SHA-256 in hexadecimal for ``FRAUD_API_KEYS`` or ``FRAUD_METRICS_KEYS``."""
    key = secrets.token_urlsafe(32)
    return key, hashlib.sha256(key.encode()).hexdigest()


class Guard:
    """Lets through who sends a key with one of ``hashes``: SHA-256 digests of 32 bytes."""

    def __init__(self, hashes: Iterable[bytes]) -> None:
        self._hashes = frozenset(hashes)

    def __call__(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether the request with these headers (names in lower case) may pass: with one key, sent once.

        Takes as long for a thousand keys as for one. Two ``Authorization`` headers let nobody pass: a proxy in front
        may have looked at the other one. Nor does an empty key, whose hash may be set where a file was empty.
        """
        credentials = [value for name, value in headers if name == b"authorization"]
        if len(credentials) != 1 or credentials[0][: len(_SCHEME)].lower() != _SCHEME:
            return False
        key = credentials[0][len(_SCHEME) :].strip()
        return key != b"" and hashlib.sha256(key).digest() in self._hashes
