"""Whoever sends a known key passes, and nobody else."""

import hashlib

import pytest

from fraud import keys
from fraud.keys import Guard

KEY, DIGEST = keys.make()
OTHER, OTHER_DIGEST = keys.make()
GUARD = Guard([bytes.fromhex(DIGEST), bytes.fromhex(OTHER_DIGEST)])


def sent(value):
    return [(b"host", b"x"), (b"authorization", value)]


def test_a_new_key_is_long_and_its_hash_is_its_own():
    """256 bits, never the same twice, and the hash is SHA-256 of the text."""
    assert len(KEY) == 43
    assert KEY != OTHER
    assert hashlib.sha256(KEY.encode()).hexdigest() == DIGEST


@pytest.mark.parametrize("key", [KEY, OTHER])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_each_known_key_passes(key, scheme):
    """Whichever of several, and however the scheme is written."""
    assert GUARD(sent(f"{scheme} {key}".encode()))


@pytest.mark.parametrize(
    "value",
    [b"", b"Bearer", b"Bearer ", KEY.encode(), b"Basic " + KEY.encode(), b"Bearer " + KEY[:-1].encode(),
     b"Bearer " + KEY.encode() + b"x", b"Bearer " + DIGEST.encode(), b"Bearer \xff\xfe",
     b"Bearer " + KEY.lower().encode()],
)  # fmt: skip
def test_nothing_else_passes(value):
    """Neither a part of a key, nor its hash, nor another scheme."""
    assert not GUARD(sent(value))


def test_without_the_header_nothing_passes():
    """No header, no passage; nor without any key known."""
    assert not GUARD([(b"host", b"x")])
    assert not Guard([])(sent(f"Bearer {KEY}".encode()))


def test_every_hash_is_compared(monkeypatch):
    """The first match does not end the search, so time does not tell which key it was."""
    seen = []
    real = keys.hmac.compare_digest
    monkeypatch.setattr(keys.hmac, "compare_digest", lambda left, right: seen.append(right) or real(left, right))
    assert GUARD(sent(f"Bearer {KEY}".encode()))
    assert len(seen) == 2
