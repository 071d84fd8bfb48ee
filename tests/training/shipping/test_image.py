"""What ``training image`` says when something is missing. The image itself is in tests/e2e/test_bundle.py."""

import os
import re
import sys
from io import StringIO

import pytest
from rich.console import Console

from fraud.errors import FraudError, ModelError
from training.console import Steps
from training.shipping import build_arguments, image


@pytest.fixture
def path(tmp_path, monkeypatch):
    """PATH with nothing on it but what the test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(folder, name, exit_code):
    (folder / name).write_text(f"#!/bin/sh\nexit {exit_code}\n")
    (folder / name).chmod(0o755)


def test_no_engine_is_said(path):
    """With what was tried, before any long work."""
    with pytest.raises(FraudError, match="no container engine answers to `docker ps` or `podman ps`; install one"):
        image.build(None, None, None, Steps())


def test_an_engine_without_a_daemon_is_none(path):
    """The next one is taken, but not where one was asked for by name."""
    program(path, "docker", 1)
    program(path, "podman", 0)
    assert image.find_engine(None) == "podman"
    with pytest.raises(FraudError, match="`docker ps`;"):
        image.find_engine("docker")


@pytest.mark.parametrize("name", ["nowhere", "fraud_detector:nowhere"])
def test_a_local_model_that_is_not_there_is_said(path, name):
    """In the words of the store."""
    program(path, "docker", 0)
    with pytest.raises(ModelError, match="no fraud_detector:nowhere"):
        image.build(name, None, None, Steps())


@pytest.mark.parametrize("name", ["champion", "latest", "fraud_detector:latest", "fraud_detector"])
def test_a_version_is_named_as_such(path, name):
    """Whoever names one does not get another one at the next call."""
    program(path, "docker", 0)
    with pytest.raises(FraudError, match=f"--version takes a version, not '{name}'; without it the champion is built"):
        image.build(name, None, None, Steps())


def test_a_failing_step_shows_the_end_of_its_log():
    """Line by line as it was said, the beginning left out and long lines cut; and its exit code."""
    code = "import sys; [print('line', n) for n in range(99)]; print('[red]' + 'x' * 999); sys.exit('the reason')"
    console = Console(file=StringIO(), width=80, soft_wrap=True)
    with pytest.raises(FraudError, match=r"^bentoml build failed with exit code 1; the end of what it said is above$"):
        image._run("bentoml build", [sys.executable, "-c", code], dict(os.environ), Steps(console))
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 20
    assert lines[0] == "  line 81"
    assert lines[-2] == f"  [red]{'x' * 495}"
    assert lines[-1] == "  the reason"


def test_the_build_is_told_where_packages_are():
    """Of an index and a proxy; uv of pip's index. Of nothing else, and of no empty variable."""
    told = {"PIP_INDEX_URL": "https://mirror.example/simple", "https_proxy": "http://me:secret@proxy.example:3128"}
    given = build_arguments.arguments_of({**told, "UV_INDEX": " ", "PIP_CERT": "/ca.pem", "AWS_SECRET_ACCESS_KEY": "x"})
    assert given == {**told, "UV_DEFAULT_INDEX": told["PIP_INDEX_URL"]}
    own = {**told, "UV_DEFAULT_INDEX": "https://other.example/simple"}
    assert build_arguments.arguments_of(own) == own


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
@pytest.mark.parametrize("before", ["", "mirror="])
def test_pip_asks_uvs_index_where_it_has_none_of_its_own(name, before):
    """pip, which brings uv, and uv, which brings the rest, ask one and the same; pip knows no names of indexes."""
    address = "https://mirror.example/simple"
    assert build_arguments.arguments_of({name: before + address}) == {name: before + address, "PIP_INDEX_URL": address}


def pem(*names):
    """What stands for certificates of these names, a key between them."""
    parts = [f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n" for name in names]
    return "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n".join(parts)


def test_the_callers_certificates_go_into_the_bento(tmp_path):
    """Of the file that pip's own variable names, else another, and no key in it; pip and uv are told where they are."""
    own, other = tmp_path / "own.pem", tmp_path / "other.pem"
    own.write_text(pem("one", "two"))
    own.chmod(0o600)
    other.write_text(pem("other"))
    assert build_arguments.certificates_of({"PIP_CERT": " "}) is None
    assert build_arguments.certificates_of({"SSL_CERT_FILE": str(other)}) == pem("other")
    found = build_arguments.certificates_of({"SSL_CERT_FILE": str(other), "PIP_CERT": str(own)})
    assert found == pem("one") + pem("two")
    (tmp_path / "env" / "docker").mkdir(parents=True)
    told = build_arguments.add_certificates(tmp_path, found)
    there = "/home/bentoml/bento/env/docker/ca.pem"
    assert told == {"PIP_CERT": there, "REQUESTS_CA_BUNDLE": there, "SSL_CERT_FILE": there}
    written = tmp_path / "env" / "docker" / "ca.pem"
    assert written.read_text() == found
    assert written.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", ["nowhere.pem", ".", "empty.pem"])
def test_certificates_that_cannot_be_read_are_said(tmp_path, name):
    """Before any long work, by the variable's name."""
    (tmp_path / "empty.pem").write_text("none\n")
    with pytest.raises(FraudError, match=r"^REQUESTS_CA_BUNDLE=.*: expected a file of certificates \(PEM\); "):
        build_arguments.certificates_of({"REQUESTS_CA_BUNDLE": str(tmp_path / name)})


@pytest.mark.parametrize(
    "address",
    [
        "https://me:hunter2@mirror.example/simple",
        "https://hunter2@mirror.example/simple",
        "https://mirror.example/simple?token=hunter2",
        "https://a.example own=https://me:hunter2@b.example",
        "https://me:hun ter2@mirror.example/simple",
        "me:hunter2@mirror.example",
    ],
)
@pytest.mark.parametrize("name", ["PIP_INDEX_URL", "UV_INDEX"])
def test_a_secret_stays_out_of_the_image(name, address):
    """An argument of a build is in the history of what it made; the words tell no secret either."""
    with pytest.raises(FraudError, match=f"^{name} holds an @ or a ") as refused:
        build_arguments.arguments_of({name: address})
    assert not re.search("hun|ter2|token", str(refused.value))


def test_what_goes_into_the_image_may_be_read_by_any_user(tmp_path):
    """Whatever the modes were, as of a model's folder, which BentoML closes; what runs stays so, and links are left."""
    model = tmp_path / "models" / "version"
    model.mkdir(parents=True)
    model.chmod(0o700)
    for name, mode in (("forest", 0o600), ("program", 0o700)):
        (model / name).touch()
        (model / name).chmod(mode)
    (model / "link").symlink_to("nowhere")
    image.let_all_read(tmp_path / "models")
    assert [path.stat().st_mode & 0o777 for path in (model, model / "forest", model / "program")] == [
        *(0o755, 0o644, 0o744),
    ]
