"""API keys: whoever calls sends one as ``Authorization: Bearer KEY``; the service knows only their SHA-256.

A key is 256 random bits, so a plain hash of it cannot be turned back by guessing, as the hash of a password could.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable

_SCHEME = b"bearer "


def make() -> tuple[str, str]:
    """A new key, and its SHA-256 in hexadecimal for ``FRAUD_API_KEYS``."""
    key = secrets.token_urlsafe(32)
    return key, hashlib.sha256(key.encode()).hexdigest()


class Guard:
    """Lets through who sends a key with one of ``hashes``: SHA-256 digests of 32 bytes."""

    def __init__(self, hashes: Iterable[bytes]) -> None:
        self._hashes = tuple(hashes)

    def __call__(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether the request with these headers (names in lower case) may pass.

        All hashes are compared, each in constant time, so that the time taken tells nothing about them.
        """
        credentials = next((value for name, value in headers if name == b"authorization"), b"")
        if credentials[: len(_SCHEME)].lower() != _SCHEME:
            return False
        digest = hashlib.sha256(credentials[len(_SCHEME) :].strip()).digest()
        return any([hmac.compare_digest(digest, known) for known in self._hashes])  # noqa: C419 - a generator stops early
