"""Keys as hashes: one card is one hash wherever it comes from, and nobody without the secret finds it again."""

import hashlib
import re
import timeit

import pytest

from fraud.inputs.keys import KeyHasher, is_hashed

PHRASE = "a secret of forty characters, or of more"
HASHER = KeyHasher(PHRASE)


def test_a_hash_is_the_same_on_every_machine():
    """Stored ones are compared with new ones for years."""
    assert HASHER("4012888888881881") == "h1:e2d472c467c13c03ee71ee2b5fed35ea"
    assert HASHER.fingerprint == "f2513e00beeb1c0c"


def test_a_hash_is_keyed_blake2b():
    """So that anything else can be made to hash alike: 16 bytes, the key is the secret's SHA-256."""
    key = hashlib.sha256(PHRASE.encode()).digest()
    assert HASHER("c17") == "h1:" + hashlib.blake2b(b"c17", key=key, digest_size=16).hexdigest()


@pytest.mark.parametrize("text", ["", "c17", "ß", "\ud800", "x" * 1000])
def test_every_text_has_a_hash(text):
    """Of one form, which is no key that a file has by chance."""
    assert re.fullmatch("h1:[0-9a-f]{32}", HASHER(text))
    assert is_hashed(HASHER(text))


def test_another_secret_gives_other_hashes_and_another_fingerprint():
    """So that a wrong one is seen."""
    other = KeyHasher(PHRASE + "!")
    assert other("c17") != HASHER("c17")
    assert other.fingerprint != HASHER.fingerprint
    assert re.fullmatch("[0-9a-f]{16}", other.fingerprint)


def test_the_fingerprint_is_the_hash_of_no_key():
    """Whoever reads it learns nothing about a card."""
    assert HASHER.fingerprint not in {HASHER("")[3:19], HASHER("fingerprint")[3:19]}


@pytest.mark.parametrize("text", ["5411.0", " 5411", "5411\n", "5411.00", "\t5411.0 "])
def test_one_number_is_one_key_however_it_is_written(text):
    """As files with gaps, spreadsheets and JSON have it."""
    assert HASHER(text) == HASHER("5411")


@pytest.mark.parametrize(("one", "other"), [("05411", "5411"), ("5411.5", "5411"), ("C17", "c17"), ("c 17", "c17")])
def test_other_texts_are_other_keys(one, other):
    """Leading zeros, capitals and blanks inside tell keys apart."""
    assert HASHER(one) != HASHER(other)


def test_what_is_hashed_already_stays():
    """Files with hashes and files with plain keys fit together."""
    once = HASHER("c17")
    assert HASHER(once) == HASHER(f" {once}\n") == once
    assert is_hashed(f" {once}\n")


@pytest.mark.parametrize("text", ["h1:", "h1:c17", "h1:" + "g" * 32, "h1:" + "A" * 32, "h1:" + "a" * 33])
def test_what_only_looks_like_a_hash_is_hashed(text):
    """A customer may be called h1:."""
    assert HASHER(text) != text
    assert not is_hashed(text)


def test_a_hash_costs_little():
    """Of a call that takes a tenth of a millisecond; measured at 0.6 microseconds."""
    assert min(timeit.repeat(lambda: HASHER("4012888888881881"), number=2_000, repeat=20)) / 2_000 < 5e-6


def test_the_secret_is_not_shown():
    """Neither by the object nor by what it holds."""
    assert PHRASE not in repr(HASHER)
    assert PHRASE not in repr(vars(HASHER))
