"""Releases by the names that a user gives them; the real registry is in tests/e2e/test_registry.py."""

import json
from types import SimpleNamespace

import pytest

from fraud import command
from fraud.manifest import Manifest
from tests.manifests import document
from training import __main__ as program
from training.verbs import releases


class Remote:
    """A registry that takes everything and notes it."""

    uri = "s3://bucket/fraud"
    pointer = SimpleNamespace(read=lambda: (SimpleNamespace(model_version="best"), "etag"))

    def __init__(self):
        self.done = []

    def pull(self, version):
        self.done.append(("pull", version))
        return SimpleNamespace(created_at="now", synthetic=True)

    def verdict(self, _):
        """None was gated."""

    def refused(self, _):
        """Nor refused."""

    def promote(self, version, _, **__):
        self.done.append(("promote", version))
        return SimpleNamespace(model_version=version, model_dump=lambda: {"model_version": version})


@pytest.fixture
def remote(monkeypatch):
    """It in place of FRAUD_S3_URI's; what is remembered as the champion is noted with the rest."""
    made = Remote()
    monkeypatch.setattr(releases, "registry", lambda: made)
    monkeypatch.setattr(releases.local, "remember_champion", lambda version: made.done.append(("remember", version)))
    return made


@pytest.mark.parametrize(
    ("arguments", "done"),
    [
        (["pull", "champion"], [("pull", "best"), ("remember", "best")]),
        (["pull", "fraud_detector:champion"], [("pull", "best"), ("remember", "best")]),
        (["pull", "abc"], [("pull", "abc")]),
        (["pull", "fraud_detector:abc"], [("pull", "abc")]),
        (["promote", "abc"], [("promote", "abc"), ("remember", "abc")]),
        (["promote", "fraud_detector:abc"], [("promote", "abc"), ("remember", "abc")]),
    ],
)
def test_a_model_is_named_by_version_tag_or_word(remote, capsys, arguments, done):
    """Only who is champion is remembered as such."""
    assert command.main(program.parser(), arguments) == 0
    assert remote.done == done
    document = json.loads(capsys.readouterr().out)
    version = done[0][1]
    assert document.get("tag", f"fraud_detector:{document.get('model_version')}") == f"fraud_detector:{version}"


def manifest(version="v", **split):
    parts = document()
    return Manifest(**document(model_version=version, split=parts["split"] | split))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({}, {}, True),
        ({}, {"seed": 1}, False),
        ({}, {"protocol": "time"}, False),
        ({"protocol": "time"}, {"protocol": "time", "seed": 1}, True),
        ({"protocol": "dates"}, {"protocol": "dates"}, False),
    ],
    ids=["drawn alike", "another seed", "another protocol", "by time", "named days"],
)
def test_list_tells_whose_figures_are_of_the_same_rows(one, other, same):
    """By time no seed is drawn; which days were named is kept nowhere, so they may be others."""
    rows = [releases._row(manifest("a", **one)), releases._row(manifest("b", **other))]
    assert (rows[0]["tested_on"] == rows[1]["tested_on"]) is same


@pytest.mark.parametrize(("seed", "said"), [(0, False), (1, True)])
def test_figures_of_other_rows_are_not_set_side_by_side_without_a_word(capsys, seed, said):
    """A line below the table, where there are such."""
    models = [releases._row(manifest("a")), releases._row(manifest("b", seed=seed))]
    releases._show([one | dict.fromkeys(("local", "published", "champion", "chosen", "verdict")) for one in models])
    shown = " ".join(capsys.readouterr().err.split())
    assert ("of each model's own test rows: compare those where `tested on` is the same" in shown) is said


@pytest.mark.parametrize(("champion", "said"), [("before", False), ("best", True)])
def test_a_verdict_beside_another_champion_is_said(remote, caplog, monkeypatch, champion, said):
    """Who approves late is told that the gate compared with somebody else."""
    monkeypatch.setattr(Remote, "verdict", lambda *_: {"figures": {"champion_version": "before"}})
    monkeypatch.setattr(remote, "pointer", SimpleNamespace(read=lambda: (SimpleNamespace(model_version=champion), "e")))
    assert command.main(program.parser(), ["promote", "abc"]) == 0
    assert ("the gate judged abc beside before; best is champion now" in caplog.text) is said
