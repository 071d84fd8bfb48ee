"""What an event says and keeps, on objects in memory; the real S3 is in tests/e2e/test_registry.py."""

import json

import pytest

from fraud.errors import DamagedError, RegistryError
from fraud.remote import champion, registry
from fraud.remote.champion import Pointer
from fraud.remote.registry import Registry

URI = "s3://bucket/fraud"
OLD = {
    "model_version": "one",
    "generation": 1,
    "event": "e1",
    "at": "2026-01-02T03:04:05+00:00",
    "reason": "passed the gate",
    "previous_version": None,
    "previous_event": None,
}
"""As it was written before who, override and verdict were kept."""


@pytest.fixture
def objects(monkeypatch):
    """What S3 holds: documents by address. An ETag is the document itself."""
    held = {}

    def get(uri):
        return (held[uri].encode(), held[uri]) if uri in held else None

    def put(uri, document, **_):
        held[uri] = json.dumps(document)

    monkeypatch.setattr(champion.s3, "get", get)
    monkeypatch.setattr(champion.s3, "put", put)
    monkeypatch.setattr(champion.s3, "keys", lambda uri: sorted(key for key in held if key.startswith(uri)))
    monkeypatch.setattr(champion.conditions, "require", lambda _: None)
    monkeypatch.setenv("FRAUD_ACTOR", "ann")
    return held


@pytest.fixture
def remote(objects, monkeypatch):
    """A registry that has published whatever is asked for; an old event made the first champion."""
    monkeypatch.setattr(Registry, "_existing", lambda *_: None)
    objects[f"{URI}/champion.json"] = objects[f"{URI}/history/000001-e1.json"] = json.dumps(OLD)
    return Registry(URI)


def judged(objects, version, *, passed):
    objects[f"{URI}/models/{version}/{registry.VERDICT}"] = json.dumps({"passed": passed})


def test_an_event_says_who_and_what_the_gate_had_said(remote, objects):
    """A version that passed, one that was not gated, one that it refused: the last takes an override, and says so."""
    judged(objects, "two", passed=True)
    judged(objects, "four", passed=False)
    for version in ("two", "three", "four"):
        remote.promote(version, "why", override=True)
    told = [(event.by, event.verdict, event.override) for event in remote.pointer.history()]
    assert told == [
        ("ann", "refused", True),
        ("ann", "none", False),
        ("ann", "passed", False),
        (None, None, None),  # of before
    ]


def test_a_way_back_says_it_too(remote, objects):
    """Onto a version that the gate refused."""
    judged(objects, "one", passed=False)
    remote.promote("two", "better")
    back = remote.rollback("worse", override=True)
    assert (back.model_version, back.by, back.verdict, back.override) == ("one", "ann", "refused", True)


def test_fields_of_newer_code_are_kept_when_the_champion_changes(remote, objects):
    """A policy or a shadow is not lost by a promotion or a way back of code that does not know it."""
    newer = OLD | {"shadow": {"version": "s", "share": 0.1}, "policy": "p1"}
    objects[f"{URI}/champion.json"] = json.dumps(newer)
    remote.promote("two", "better")
    remote.rollback("worse")
    document = json.loads(objects[f"{URI}/champion.json"])
    assert (document["model_version"], document["generation"]) == ("one", 3)
    assert (document["shadow"], document["policy"]) == (newer["shadow"], "p1")


def test_a_reason_for_the_standing_champion_is_not_dropped(remote, objects):
    """It would be kept nowhere: said, with since when and why it stands. Without a reason nothing is to be done."""
    before = dict(objects)
    with pytest.raises(RegistryError, match=r"^one is the champion already, since 2026.* \(passed the gate\); .*out"):
        remote.promote("one", "risk says so")
    assert remote.promote("one", None).event == "e1"
    assert objects == before


def test_a_promotion_without_a_reason_is_by_hand(remote):
    """As the history says."""
    assert remote.promote("two", None).reason == "promoted by hand"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"passed": null}', '{"passed"'])
def test_a_damaged_verdict_is_a_stated_error(remote, objects, text):
    """Nothing is promoted on it."""
    objects[f"{URI}/models/two/{registry.VERDICT}"] = text
    with pytest.raises(DamagedError, match=r"two/verdict\.json: damaged \("):
        remote.promote("two", "why")
    assert remote.pointer.read()[0].model_version == "one"


def test_a_version_that_the_gate_refused_is_no_first_champion(objects, monkeypatch):
    """Publishing it where there is none is no way around the gate."""
    monkeypatch.setattr(Registry, "_existing", lambda *_: None)
    judged(objects, "one", passed=False)
    with pytest.raises(RegistryError, match="the gate refused this version"):
        Registry(URI).crown_first("one")
    assert Pointer(URI).read() is None
