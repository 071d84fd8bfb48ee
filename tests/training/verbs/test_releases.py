"""Releases by the names that a user gives them; the real registry is in tests/e2e/test_registry.py."""

import json
from types import SimpleNamespace

import pytest

from fraud import command
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
