"""Which model ``make run`` serves, with a registry that is a script; the real one is in tests/e2e/test_registry.py."""

from types import SimpleNamespace

import pytest

from fraud.errors import ModelError, RegistryError
from fraud.settings import Settings
from training.console import Steps
from training.shipping import serve


class Remote:
    """A registry with a champion, or one that fails."""

    uri = "s3://bucket/fraud"

    def __init__(self, champion=None, error=None):
        self.champion, self.error, self.pulled = champion, error, []
        self.pointer = self

    def read(self):
        if self.error:
            raise RegistryError(self.error)
        return self.champion and (SimpleNamespace(model_version=self.champion), "etag")

    def pull(self, version):
        self.pulled.append(version)


@pytest.fixture
def choose(monkeypatch):
    """Chooses with a registry, among local versions that are newest first; gives the tag and what is remembered."""

    def call(remote, local=(), champion=None, model="fraud_detector:latest"):
        def get(tag):
            version = tag.removeprefix("fraud_detector:")
            if version not in {"latest", *local, *remote.pulled}:
                raise ModelError(f"no {tag}")
            return SimpleNamespace(tag=SimpleNamespace(version=local[0] if version == "latest" else version))

        remembered = []
        for name, value in {
            "versions": lambda: list(local),
            "remembered_champion": lambda: champion,
            "remember_champion": remembered.append,
            "get": get,
            "open_served": lambda entry: entry,
        }.items():
            monkeypatch.setattr(serve.store, name, value)
        monkeypatch.setattr(serve, "registry", lambda _: remote)
        return serve.choose_model(Settings(s3_uri="s3://bucket/fraud", model=model), Steps()), remembered

    return call


def test_the_champion_is_pulled_and_remembered(choose, capsys):
    """Though the store has a newer model."""
    remote = Remote("best")
    assert choose(remote, ["newer"], "before") == ("fraud_detector:best", ["best"])
    assert remote.pulled == ["best"]
    assert "serving the champion fraud_detector:best of s3://bucket/fraud, pulled and verified" in (
        capsys.readouterr().err
    )


def test_a_champion_that_is_here_is_verified_too(choose):
    """Pulling compares it with what was published."""
    remote = Remote("best")
    choose(remote, ["best"])
    assert remote.pulled == ["best"]


@pytest.mark.parametrize(
    ("champion", "tag", "words"),
    [
        ("old", "fraud_detector:old", "the last champion, fraud_detector:old"),
        (None, "fraud_detector:new", "the newest, fraud_detector:new"),
    ],
)
@pytest.mark.parametrize("remote", [Remote(error="S3 is down"), Remote()], ids=["down", "no champion"])
def test_without_the_registrys_word_a_local_model_is_served(choose, capsys, remote, champion, tag, words):
    """The champion last seen comes before the newest; why is said."""
    assert choose(remote, ["new", "old"], champion) == (tag, [])
    said = " ".join(capsys.readouterr().err.split())
    assert f"{remote.error or 'there is no champion yet'}" in said
    assert f"serving the local model instead: {words}" in said


def test_without_any_model_it_is_a_stated_error(choose):
    """Nothing is trained on made-up rows in its place."""
    with pytest.raises(RegistryError, match=r"^S3 is down; and there is no local model to serve instead"):
        choose(Remote(error="S3 is down"))


def test_a_version_of_the_settings_is_served_as_it_is(choose):
    """S3 is not asked."""
    old = "fraud_detector:old"
    assert choose(Remote(error="S3 is down"), ["new", "old"], model=old) == (old, [])
    with pytest.raises(ModelError, match="no fraud_detector:gone"):
        choose(Remote(error="S3 is down"), ["new"], model="fraud_detector:gone")
