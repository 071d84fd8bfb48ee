"""Whoever sends a known key passes, and nobody else."""

import base64
import hashlib
import json

import pytest

from fraud import __main__ as program
from fraud import command, keys
from fraud.errors import SettingsError
from fraud.keys import Guard
from fraud.settings import Settings


def known(seed):
    """A key that is the same in every process, and its hash."""
    key = base64.urlsafe_b64encode(hashlib.sha256(seed).digest()).decode().rstrip("=")
    return key, hashlib.sha256(key.encode()).hexdigest()


KEY, DIGEST = known(b"one")
OTHER, OTHER_DIGEST = known(b"other")
GUARD = Guard({bytes.fromhex(DIGEST): "one", bytes.fromhex(OTHER_DIGEST): "other"})


def sent(value):
    return [(b"host", b"x"), (b"authorization", value)]


def test_a_new_key_is_long_and_its_hash_is_its_own():
    """256 bits, never the same twice, and the hash is SHA-256 of the text."""
    (key, digest), (other, _) = keys.make(), keys.make()
    assert len(key) == 43
    assert key != other
    assert hashlib.sha256(key.encode()).hexdigest() == digest


@pytest.mark.parametrize(("key", "name"), [(KEY, "one"), (OTHER, "other")])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_each_known_key_passes_by_its_name(key, name, scheme):
    """Whichever of several, and however the scheme is written."""
    assert GUARD(sent(f"{scheme} {key}".encode())) == name


@pytest.mark.parametrize(
    "value",
    [b"", b"Bearer", b"Bearer ", KEY.encode(), b"Basic " + KEY.encode(), b"Bearer " + KEY[:-1].encode(),
     b"Bearer " + KEY.encode() + b"x", b"Bearer " + DIGEST.encode(), b"Bearer \xff\xfe",
     b"Bearer " + KEY.lower().encode(), f"Bearer x, Bearer {KEY}".encode(), f'Bearer "{KEY}"'.encode(),
     f"Bearer\t{KEY}".encode(), f"Bearer {KEY} {KEY}".encode(), f"Bearer {KEY}\xe4".encode("latin-1"),
     f"\xa0Bearer {KEY}".encode("latin-1")],
)  # fmt: skip
def test_nothing_else_passes(value):
    """Neither a part of a key, nor its hash, nor another scheme."""
    assert not GUARD(sent(value))


def test_without_the_header_nothing_passes():
    """No header, no passage; nor without any key known."""
    assert not GUARD([(b"host", b"x")])
    assert not Guard({})(sent(f"Bearer {KEY}".encode()))


@pytest.mark.parametrize("value", [f"  \t{KEY}", f"{KEY} \t "])
def test_blanks_around_a_key_are_none_of_it(value):
    """As some callers pad it, and as RFC 9110 lets them."""
    assert GUARD(sent(f"Bearer {value}".encode()))


@pytest.mark.parametrize("other", [f"Bearer {KEY}", f"Bearer {OTHER}", "Bearer wrong", "Basic eA==", ""])
@pytest.mark.parametrize("first", [True, False])
def test_two_headers_let_nobody_pass(other, first):
    """A proxy may have looked at the one and we at the other, whichever comes first."""
    two = [*sent(f"Bearer {KEY}".encode()), *sent(other.encode())]
    assert not GUARD(two if first else two[::-1])


@pytest.mark.parametrize("value", [b"Bearer ", b"Bearer   ", b"Bearer \t"])
def test_an_empty_key_is_none(value):
    """Its hash is easily set, by a script that hashes a file that is not there."""
    assert not Guard({hashlib.sha256(b"").digest(): "empty"})(sent(value))


def test_many_keys_cost_as_much_as_one(monkeypatch):
    """What was sent is hashed once, and each of a thousand passes."""
    many = [keys.make() for _ in range(1000)]
    guard, hashed = Guard({bytes.fromhex(digest): digest for _, digest in many}), []
    real = hashlib.sha256
    monkeypatch.setattr(keys.hashlib, "sha256", lambda key: hashed.append(key) or real(key))
    assert all(guard(sent(f"Bearer {key}".encode())) for key, _ in many)
    assert len(hashed) == len(many)


def test_a_new_secret_is_long_enough_for_its_setting():
    """256 bits, never the same twice."""
    assert len({keys.make_secret(), keys.make_secret()}) == 2
    assert Settings(key_secret=keys.make_secret()).key_hasher is not None


@pytest.mark.parametrize("between", [",", ", ", " ,\n", "\n", "\r\n", "\n\n", ",\n,"])
@pytest.mark.parametrize("end", ["", ",", "\n", " ,\n"])
def test_keys_are_listed_with_commas_and_line_breaks(between, end):
    """As variables, files of secrets and Windows have them; a comma at the end is none too many."""
    assert keys.named(f"{DIGEST}{between}{OTHER_DIGEST}{end}") == {
        bytes.fromhex(DIGEST): DIGEST[:8],
        bytes.fromhex(OTHER_DIGEST): OTHER_DIGEST[:8],
    }


def test_a_key_has_the_name_that_it_was_given():
    """Else the first digits of its hash, in lower case, however the hash is written."""
    assert keys.named(f"shop.web_2-b:{DIGEST},{OTHER_DIGEST.upper()}") == {
        bytes.fromhex(DIGEST): "shop.web_2-b",
        bytes.fromhex(OTHER_DIGEST): OTHER_DIGEST[:8],
    }


def test_a_key_may_be_listed_twice():
    """By mistake, under one name: nothing is unclear."""
    assert keys.named(f"a:{DIGEST},a:{DIGEST.upper()}") == {bytes.fromhex(DIGEST): "a"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "64 hex"),
        (",\n", "64 hex"),
        (DIGEST[:-1], "64 hex"),
        (f"{DIGEST} {OTHER_DIGEST}", "64 hex"),
        (f":{DIGEST}", "64 hex"),
        (f"two words:{DIGEST}", "64 hex"),
        (f"caf\u00e9:{DIGEST}", "64 hex"),
        (f"{'x' * 65}:{DIGEST}", "64 hex"),
        (f"shop:{DIGEST},shop:{OTHER_DIGEST}", "each name once"),
        (f"shop:{DIGEST},other:{DIGEST}", "one name for each key"),
        (f"{OTHER_DIGEST[:8]}:{DIGEST},{OTHER_DIGEST}", "each name once"),
        (f"{KEY}:{DIGEST}", "not the key itself"),
        (f"{KEY}:{'ab' * 32},{DIGEST}", "nor another one"),
    ],
)
def test_what_is_no_list_of_keys_is_refused_and_not_shown(text, expected):
    """Not even the name: it may be the key."""
    with pytest.raises(ValueError, match=expected) as caught:
        keys.named(text)
    assert not any(part in str(caught.value) for part in (DIGEST, OTHER_DIGEST, KEY, "shop"))


@pytest.mark.parametrize(
    ("written", "kinds"),
    [
        ("a", keys.KINDS),
        ("a[label]", ["label"]),
        ("a[score+read]", ["score", "read"]),
        ("a[ read + score ]", ["score", "read"]),
    ],
)
def test_a_key_is_good_for_the_kinds_that_stand_beside_its_name(written, kinds):
    """For everything where none does."""
    assert keys.listed(f"{written}:{DIGEST}") == {bytes.fromhex(DIGEST): keys.Key("a", frozenset(kinds))}


@pytest.mark.parametrize("kinds", [[], ["label"], ["score", "read"]])
def test_what_is_printed_for_a_key_is_read_as_it_was_meant(kinds):
    """By the service, from its setting."""
    [key] = keys.listed(keys.entry("a", kinds, DIGEST)).values()
    assert key == keys.Key("a", frozenset(kinds or keys.KINDS))


@pytest.mark.parametrize(
    "written", ["a[]", "a[labels]", "a[metrics]", "a[label+]", "[label]", "a[label]b", "a[label,read]"]
)
def test_another_kind_is_refused(written):
    """A slip must not make a key that opens everything."""
    with pytest.raises(ValueError, match="score, label or read"):
        keys.listed(f"{written}:{DIGEST}")


def test_a_key_for_metrics_has_no_kind():
    """It opens one path."""
    with pytest.raises(SettingsError, match=r"FRAUD_METRICS_KEYS.*without a kind"):
        Settings.from_env({"FRAUD_METRICS_KEYS": f"a[read]:{DIGEST}"})


def test_the_command_prints_the_setting_with_the_kinds(capsys):
    """And asks for a name, for a kind stands beside one."""
    assert command.main(program.parser(), ["key", "--name", "cases", "--kind", "label", "--kind", "read"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["setting"] == f"cases[label+read]:{printed['sha256']}"
    with pytest.raises(SystemExit):
        command.main(program.parser(), ["key", "--kind", "label"])
