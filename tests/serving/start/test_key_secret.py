"""A model whose keys were hashed with another secret is not served; what becomes of keys is said."""

import pytest

from fraud.errors import DataError, SettingsError
from fraud.inputs.keys import KeyHasher
from fraud.manifest import Manifest
from fraud.schema import parse
from fraud.settings import Settings
from serving import process
from serving.start import introduction, key_secret
from tests import histories
from tests.manifests import document
from tests.shop_schema import SCHEMA

OURS, OTHER = "s" * 32, "t" * 32
PRINTS = {secret: KeyHasher(secret).fingerprint for secret in (OURS, OTHER)}


def manifest(fingerprint=None, schema=SCHEMA):
    transactions = schema and schema.document()
    return Manifest(**document(transaction_schema=transactions, key_fingerprint=fingerprint))


@pytest.mark.parametrize(
    ("fingerprint", "secret", "said"),
    [
        (PRINTS[OURS], OURS, f"keys hashed by {PRINTS[OURS]}"),
        (None, OURS, f"keys hashed by {PRINTS[OURS]}"),
        (None, None, "keys not kept: FRAUD_KEY_SECRET is not set"),
    ],
    ids=["same", "first", "none"],
)
def test_what_becomes_of_keys_is_said(fingerprint, secret, said):
    """By the fingerprint, never the secret."""
    assert key_secret.state(Settings(key_secret=secret), manifest(fingerprint)) == said


def test_histories_need_a_secret():
    """Their keys are kept hashed; with one all is as it is without them."""
    own = parse(histories.SCHEMA, "payments.toml")
    with pytest.raises(DataError, match=r"has \[\[history\]\].*FRAUD_KEY_SECRET is not set: set it"):
        key_secret.state(Settings(), manifest(schema=own))
    assert key_secret.state(Settings(key_secret=OURS), manifest(schema=own)) == f"keys hashed by {PRINTS[OURS]}"


@pytest.mark.parametrize("secret", [None, OURS])
def test_of_a_model_without_keys_nothing_is_said(secret):
    """There is nothing to hash."""
    assert key_secret.state(Settings(key_secret=secret), manifest(schema=None)) == ""


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (
            OTHER,
            f"FRAUD_KEY_SECRET is the one of fingerprint {PRINTS[OTHER]}, and the model .* {PRINTS[OURS]}: set that",
        ),
        (None, f"FRAUD_KEY_SECRET is not set, and the model .* of fingerprint {PRINTS[OURS]}: set that one"),
    ],
    ids=["another", "none"],
)
def test_a_wrong_secret_ends_the_start(monkeypatch, tmp_path, secret, words):
    """In one line, before a worker begins."""
    with pytest.raises(SettingsError, match=words):
        key_secret.state(Settings(key_secret=secret), manifest(PRINTS[OURS]))
    monkeypatch.setattr(process.home, "claim", lambda _: None)
    monkeypatch.setattr(process, "settings", lambda: Settings(key_secret=secret))
    monkeypatch.setattr(process, "settle", lambda _: None)
    monkeypatch.setattr(introduction.store, "read_manifest", lambda _: manifest(PRINTS[OURS]))
    with pytest.raises(SystemExit, match=f"^error: {words}") as caught:
        process._check_start(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_line_of_the_start_says_it(monkeypatch):
    """Beside the schema."""

    class Model:
        tag = "fraud_detector:abc"

    monkeypatch.setattr(introduction.store, "read_manifest", lambda _: manifest())
    said = introduction.introduction(Settings(key_secret=OURS), Model())
    assert f", schema shop, keys hashed by {PRINTS[OURS]}, 2 workers;" in said
    assert OURS not in said
