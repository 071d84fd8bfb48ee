"""A champion of another secret of keys is not replaced in silence."""

from types import SimpleNamespace

import pytest

from fraud.errors import FraudError, ModelError
from fraud.inputs.keys import KeyHasher
from fraud.manifest import Manifest
from fraud.schema import default
from tests.manifests import document
from tests.shop_schema import SCHEMA
from training import retrain
from training.console import Steps
from training.judging import contest, same_secret
from training.judging.gate import Policy
from training.judging.making import same_model
from training.run import TrainingPlan

HASHER, OTHER = KeyHasher("a secret of forty characters, or of more"), KeyHasher("another")


def champion(hasher):
    return Manifest(**document(key_fingerprint=hasher and hasher.fingerprint))


@pytest.mark.parametrize(
    ("theirs", "schema", "ours"),
    [
        (HASHER, SCHEMA, HASHER),
        (None, SCHEMA, HASHER),
        (None, SCHEMA, None),
        (HASHER, default(), OTHER),
        (HASHER, default(), None),
    ],
    ids=["same", "first", "none", "no keys", "no keys, no secret"],
)
def test_what_is_no_change_passes(theirs, schema, ours):
    """The same secret, a first one, none before and none now; and data without keys."""
    same_secret.check(champion(theirs), schema, ours)


def test_another_secret_is_refused_by_both_fingerprints():
    """With what to do."""
    with pytest.raises(ModelError, match=rf"{HASHER.fingerprint}, and .*{OTHER.fingerprint}: .*--allow-key-change"):
        same_secret.check(champion(HASHER), SCHEMA, OTHER)


def test_no_secret_is_another_one():
    """It was forgotten most likely."""
    with pytest.raises(ModelError, match=rf"{HASHER.fingerprint}, and FRAUD_KEY_SECRET is not set: .*--allow-key-"):
        same_secret.check(champion(HASHER), SCHEMA, None)


class LoadedError(FraudError):
    """The data is asked for: what is looked at before has passed."""


@pytest.mark.parametrize(("declared", "expected"), [(False, ModelError), (True, LoadedError)])
def test_retraining_asks_before_it_begins(monkeypatch, declared, expected):
    """And goes on where the change is declared."""

    def load(*_):
        raise LoadedError

    served = SimpleNamespace(features=SimpleNamespace(schema=SCHEMA))
    standing = contest.ChampionModel("v1", champion(HASHER), None, served, None)
    monkeypatch.setattr(contest, "champion_model", lambda *_: standing)
    monkeypatch.setattr(retrain.data, "load_telling", load)
    pointer = SimpleNamespace(read=lambda: (SimpleNamespace(model_version="v1"), "etag"))
    remote, plan = SimpleNamespace(pointer=pointer, uri="s3://b"), TrainingPlan([], hasher=OTHER)
    with pytest.raises(expected):
        retrain.retrain(remote, plan, Policy(), Steps(), key_change_declared=declared)


def test_a_first_secret_is_something_new():
    """Else the champion would never get a fingerprint, where the data is as before."""
    assert same_model(champion(None), champion(None)) is True
    assert same_model(champion(HASHER), champion(None)) is False
