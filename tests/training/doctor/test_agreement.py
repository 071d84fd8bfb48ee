"""What does not fit together is named where both sides are known, and only there."""

import pytest

from fraud import schema
from fraud.history.layout import layouts
from fraud.inputs.keys import KeyHasher
from fraud.manifest import Manifest
from fraud.settings import Settings
from tests.histories import SCHEMA
from tests.manifests import document
from training.doctor import agreement
from training.doctor.part import Part

SECRET, URL = "s" * 32, "redis://host:6379/0"
OURS = KeyHasher(SECRET).fingerprint


def model(version="best", **changes):
    return Manifest(**document(model_version=version, **changes))


def seen(
    local=(), published=(), champion=None, served=None, chosen=None, fingerprints=(), schema_hash=None, histories=None
):
    """What the parts hold: models, who is champion, who is served here."""
    facts = {"entries": [one.model_version for one in local], "served": served, "chosen": chosen}
    declared = {} if schema_hash is None else {"schema_hash": schema_hash}
    return {
        "settings": Part("settings", facts=declared),
        "store": Part("store", facts=facts, manifests={one.model_version: one for one in local}),
        "s3": Part("s3", facts={"champion": champion}, manifests={one.model_version: one for one in published}),
        "database": Part("database", facts={"key_fingerprints": list(fingerprints)}),
        "histories": Part("histories", histories is not None, {} if histories is None else {"store": URL, **histories}),
    }


def findings(settings, **what):
    part = Part("agreement")
    agreement.look(part, settings, seen(**what))
    return part.findings


BEST, OTHER = model(), model("other")
PAYMENTS = schema.parse(SCHEMA, "test")
WITH_HISTORIES = model(transaction_schema=PAYMENTS.document(), schema_hash=PAYMENTS.hash)
LAYOUTS = [one.fingerprint for one in layouts(PAYMENTS)]
FITS = [
    {},
    {"local": [BEST], "served": "best"},
    {"local": [BEST], "published": [BEST], "champion": "best", "served": "best"},
    {"local": [model(key_fingerprint=OURS)], "served": "best", "fingerprints": [OURS, "older"]},
    {"local": [BEST], "served": "best", "schema_hash": BEST.schema_hash},
    {"local": [BEST], "served": "best", "histories": {"key_fingerprint": None, "layouts": []}},
    {"local": [WITH_HISTORIES], "served": "best", "histories": {"key_fingerprint": OURS, "layouts": ["0", *LAYOUTS]}},
    {"local": [WITH_HISTORIES], "served": "best", "histories": {}},
]
BOTH = {"local": [BEST, OTHER], "published": [BEST, OTHER], "champion": "best"}


@pytest.mark.parametrize("what", FITS)
def test_what_fits_is_no_finding(what):
    """Nothing, one part alone, and all of them."""
    assert findings(Settings(key_secret=SECRET), **what) == []


@pytest.mark.parametrize(
    ("what", "settings", "words"),
    [
        ({"published": [BEST], "champion": "best"}, {}, "the champion best is not in the local store; `python -m"),
        (
            BOTH | {"served": "other", "chosen": "other"},
            {},
            "`bentoml serve` takes the local other, chosen with `use`, and the champion is best",
        ),
        (BOTH | {"served": "other"}, {}, "`bentoml serve` takes the local other, the newest, and the champion is best"),
        (
            BOTH | {"served": "other"},
            {"model": "fraud_detector:other"},
            "FRAUD_MODEL=fraud_detector:other serves other, and the champion is best",
        ),
        (
            {"local": [model(threshold=0.1)], "published": [BEST]},
            {},
            "fraud_detector:best: the local one is not the one that is published",
        ),
        (
            {"local": [model(key_fingerprint="f")], "served": "best"},
            {},
            "FRAUD_KEY_SECRET is not set, and the model best was trained with the one of f",
        ),
        (
            {"local": [BEST], "published": [model(key_fingerprint="f")], "champion": "best", "served": "best"},
            {"key_secret": SECRET},
            f"FRAUD_KEY_SECRET is the one of fingerprint {OURS}, and the model best was trained with the one of f",
        ),
        (
            {"fingerprints": ["f", "g"]},
            {"key_secret": SECRET},
            f"FRAUD_KEY_SECRET is the one of fingerprint {OURS}, and the keys in the log are hashed with that of f, g",
        ),
        (
            {"local": [BEST], "served": "best", "schema_hash": "another"},
            {},
            "FRAUD_SCHEMA names another schema than that of the model best",
        ),
        (
            {"histories": {"key_fingerprint": "f", "layouts": []}},
            {"key_secret": SECRET},
            f"FRAUD_KEY_SECRET is the one of fingerprint {OURS}, and keys in {URL} are hashed with that of f",
        ),
        (
            {"local": [WITH_HISTORIES], "served": "best", "histories": {"layouts": LAYOUTS[:1]}},
            {"key_secret": SECRET, "history_url": URL},
            f"{URL} has no histories of shop_id for the model best, to which every key looks new: `python -m",
        ),
        ({"local": [WITH_HISTORIES], "served": "best"}, {"key_secret": SECRET}, "file:///"),
    ],
)
def test_what_disagrees_is_named(what, settings, words):
    """Both sides of it."""
    assert [finding for finding in findings(Settings(**settings), **what) if finding.startswith(words)]
    if "published" not in what or "local" not in what:
        assert len(findings(Settings(**settings), **what)) == 1


def test_a_secret_that_is_no_good_is_not_said_to_be_none():
    """The settings have said what is wrong with it."""
    parts = seen(local=[model(key_fingerprint="f")], served="best")
    parts["settings"].find("FRAUD_KEY_SECRET='***': expected at least 32 characters")
    part = Part("agreement")
    agreement.look(part, Settings(), parts)
    assert part.findings == []
