"""Which model a name means, and which registry: each spelling, and what is said when there is none."""

from types import SimpleNamespace

import pytest

from fraud import store
from fraud.choice import local
from fraud.errors import ModelError, RegistryError, SettingsError
from fraud.remote.registry import Registry
from fraud.remote.resolve import CHAMPION, LATEST, Resolved, bare_name, registry, registry_if_set, resolve
from fraud.settings import Settings


class Remote:
    """A registry that knows a champion, and notes what is pulled."""

    uri = "s3://bucket/fraud"

    def __init__(self, champion):
        pointer = None if champion is None else (SimpleNamespace(model_version=champion), "etag")
        self.pointer = SimpleNamespace(read=lambda: pointer)
        self.pulled = []

    def pull(self, version):
        self.pulled.append(version)


@pytest.fixture
def remembered(saved):
    """The model of the store is the champion last seen."""
    local.remember_champion(saved.model_version)
    yield saved.model_version
    local._champion_path(saved.model_version).unlink()


@pytest.mark.parametrize("name", ["abc", "fraud_detector:abc"])
def test_a_version_and_its_tag_are_the_same(name):
    """Neither the store nor a registry is asked."""
    model = resolve(name)
    assert model == Resolved("abc", "user")
    assert model.tag == "fraud_detector:abc"


@pytest.mark.parametrize("name", ["latest", "fraud_detector:latest", "fraud_detector"])
def test_latest_is_the_newest_of_the_local_store(saved, name):
    """Whatever the registry's champion is; as BentoML does, a tag without a version is read as the latest."""
    remote = Remote("other")
    assert resolve(name, remote, pull=True) == Resolved(store.versions()[0], "store")
    assert remote.pulled == []


@pytest.mark.parametrize("name", ["champion", "fraud_detector:champion"])
def test_the_champion_is_the_registrys(remembered, name):
    """Not the one last seen."""
    assert resolve(name, Remote("other")) == Resolved("other", "registry")


def test_without_a_registry_the_champion_is_the_one_last_seen(remembered):
    """For when FRAUD_S3_URI is not set."""
    assert resolve("champion") == Resolved(remembered, "memory")


def test_an_unknown_champion_is_a_stated_error(saved):
    """With what to do about it."""
    with pytest.raises(ModelError, match=r"^no champion is known here: set FRAUD_S3_URI, or name a version or"):
        resolve("champion")


def test_a_registry_without_a_champion_is_a_stated_error(remembered):
    """The one last seen is of another registry then."""
    with pytest.raises(RegistryError, match=r"^s3://bucket/fraud: there is no champion yet; publish or promote"):
        resolve("champion", Remote(None))


@pytest.mark.parametrize("name", ["other:abc", "fraud_detector:other:abc", "a:b:c"])
def test_the_tag_of_another_model_is_refused(name):
    """A version of the same name is not put in its place."""
    with pytest.raises(ModelError, match=f"^{name}: not a model tag; expected fraud_detector:VERSION"):
        resolve(name, Remote("abc"), pull=True)


def test_what_is_not_here_is_pulled_when_asked(saved):
    """A version as well as the champion; what is here is left alone."""
    remote = Remote("second")
    for name in ("first", "champion", saved.model_version):
        resolve(name, remote, pull=True)
    assert remote.pulled == ["first", "second"]


def test_nothing_is_pulled_unless_asked():
    """That a version exists is the caller's to find out."""
    remote = Remote("second")
    assert resolve("champion", remote).version == "second"
    assert resolve("third", remote).version == "third"
    assert remote.pulled == []
    assert resolve("third", pull=True).version == "third"


@pytest.mark.parametrize(
    ("name", "bare"),
    [("fraud_detector:champion", CHAMPION), ("latest", LATEST), ("fraud_detector", LATEST), ("abc", "abc")],
)
def test_a_bare_name_is_without_the_models(name, bare):
    """So that who takes versions only can tell them from words."""
    assert bare_name(name) == bare


def test_the_registry_is_that_of_the_settings(monkeypatch):
    """Of the environment unless others are given; a slash at its end is left off."""
    assert registry_if_set() is None
    with pytest.raises(SettingsError, match=r"^FRAUD_S3_URI is not set; set it to s3://bucket/prefix"):
        registry()
    monkeypatch.setenv("FRAUD_S3_URI", "s3://bucket/fraud/")
    assert registry() == registry_if_set() == Registry("s3://bucket/fraud")
    assert registry(Settings(s3_uri="s3://other/x")) == Registry("s3://other/x")
    monkeypatch.setenv("FRAUD_S3_URI", "bucket")
    with pytest.raises(SettingsError, match="FRAUD_S3_URI"):
        registry()
