"""Which model ``make run`` serves and where, with a registry that is a script.

The real one is in tests/e2e/test_registry.py.
"""

import fcntl
import os
import socket
from types import SimpleNamespace

import pytest

from fraud import home
from fraud.errors import ModelError, RegistryError, SettingsError
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

    def call(remote, local=(), champion=None, model=None):
        def get(tag):
            version = tag.removeprefix("fraud_detector:")
            if version not in {"latest", *local, *remote.pulled}:
                raise ModelError(f"no {tag}")
            return SimpleNamespace(tag=SimpleNamespace(version=local[0] if version == "latest" else version))

        remembered = []
        for name, value in {
            "versions": lambda: list(local),
            "get": get,
            "open_served": lambda entry: entry,
        }.items():
            monkeypatch.setattr(serve.store, name, value)
        monkeypatch.setattr(serve.local, "remembered_champion", lambda: champion)
        monkeypatch.setattr(serve.local, "remember_champion", remembered.append)
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
        ("old", "fraud_detector:old", "fraud_detector:old, the last champion"),
        (None, "fraud_detector:new", "fraud_detector:new, the newest of 2 local models (the others: old); `python -m"),
    ],
)
@pytest.mark.parametrize("remote", [Remote(error="S3 is down"), Remote()], ids=["down", "no champion"])
def test_without_the_registrys_word_a_local_model_is_served(choose, capsys, remote, champion, tag, words):
    """The champion last seen comes before the local choice; why is said."""
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


V4, V6 = (socket.AF_INET, ("127.0.0.1", 3000)), (socket.AF_INET6, ("::1", 3000, 0, 0))


class Probe:
    """Stands for a socket; ``taken`` is the error of ``bind``."""

    def __init__(self, taken=None):
        self.taken, self.bound = taken, []

    def __call__(self, family):
        self.bound.append(family)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def setsockopt(self, *_):
        pass

    def bind(self, address):
        self.bound.append(address)
        if self.taken:
            raise self.taken


@pytest.fixture
def starts(monkeypatch, tmp_path):
    """``starts(host)`` gives what would be executed on a machine whose ``names`` resolve so; nothing is opened."""

    def start(host, names=None, taken=None):
        def resolve(name, _port, **_):
            if name not in (names or {}):
                raise socket.gaierror(-2, "Name or service not known")
            return [(family, socket.SOCK_STREAM, 6, "", address) for family, address in names[name]]

        executed = []
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        monkeypatch.setattr(socket, "socket", Probe(taken))
        monkeypatch.setattr(serve, "choose_model", lambda *_: worked.append("chosen") or "fraud_detector:new")
        monkeypatch.setattr(os, "execve", lambda _, arguments, env: executed.append((arguments, env)))
        serve.serve(host, 3000)
        return executed

    worked = start.worked = []
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    return start


@pytest.mark.parametrize(
    ("found", "address"), [([V4], "127.0.0.1"), ([V6, V4], "127.0.0.1"), ([V4, V6], "127.0.0.1"), ([V6], "::1")]
)
def test_a_name_is_served_by_its_address(starts, found, address):
    """BentoML takes addresses only; of both families IPv4 is taken."""
    [(arguments, env)] = starts("localhost", {"localhost": found})
    assert arguments[-4:] == ["--host", address, "--port", "3000"]
    assert env["FRAUD_MODEL"] == "fraud_detector:new"


def test_a_name_of_no_machine_is_refused_before_any_work(starts):
    """As in conda's HOST, which names a kind of machine."""
    with pytest.raises(SettingsError) as caught:
        starts("x86_64-conda-linux-gnu")
    assert str(caught.value) == (
        "HOST=x86_64-conda-linux-gnu: neither an address nor a name of this machine (Name or service not "
        "known); set HOST=127.0.0.1, or HOST=0.0.0.0 for every address"
    )
    assert starts.worked == []


def test_what_cannot_be_a_name_is_refused_so_too(tmp_path):
    """Python refuses a label of 64 letters by itself, without asking anybody."""
    with pytest.raises(SettingsError, match=r"^HOST=a{64}: neither an address nor a name of this machine"):
        serve._free_address("a" * 64, 3000)


def test_an_address_that_is_taken_is_refused_before_any_work(starts):
    """By somebody else, or because it is another machine's."""
    with pytest.raises(SettingsError, match=r"^localhost:3000 cannot be listened on \(Address already in use\)"):
        starts("localhost", {"localhost": [V4]}, OSError(98, "Address already in use"))
    assert starts.worked == []


def test_a_home_that_another_server_holds_is_refused_before_any_work(starts, tmp_path):
    """Nothing is pulled or trained for a start that must not be."""
    with (tmp_path / home.LOCK).open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SettingsError, match=r"^another server .* runs on BENTOML_HOME"):
            starts("127.0.0.1", {"127.0.0.1": [V4]})
    assert starts.worked == []
