"""The compiled scorer is the one that was built from the source here, or is not used."""

import hashlib
import logging
import shutil

import numpy as np
import pytest

from fraud.scorer import kernel
from fraud.scorer.forest import Forest
from fraud.scorer.kernels import build


@pytest.fixture
def folder(tmp_path):
    """A copy of the binaries."""
    return shutil.copytree(kernel.FOLDER, tmp_path / "kernels")


@pytest.fixture
def binary(folder):
    """This machine's binary among them."""
    name = kernel.file_name()
    if name not in build.TARGETS:
        pytest.skip(f"no binary is built for this machine: {name}")
    return folder / name


@pytest.fixture
def warned(caplog):
    caplog.set_level(logging.WARNING, logger="fraud")
    return caplog


def test_the_binaries_were_built_from_this_source():
    """Whoever changes kernel.c runs `make kernels` before this passes; the list holds nothing else."""
    listed = kernel.read_sums(kernel.FOLDER)
    assert set(listed) == {*build.sources(), *build.TARGETS}
    for name, expected in listed.items():
        assert hashlib.sha256((kernel.FOLDER / name).read_bytes()).hexdigest() == expected, name


@pytest.mark.parametrize("name", build.TARGETS)
def test_binaries_are_small(name):
    """Each is under 100 KB."""
    assert (kernel.FOLDER / name).stat().st_size < 100_000


@pytest.mark.parametrize("name", [name for name in build.TARGETS if name.startswith("linux")])
def test_linux_binaries_need_no_library(name):
    """They name no other library, not even a libc, so one file runs with glibc of any age and with musl."""
    content = (kernel.FOLDER / name).read_bytes()
    assert content.startswith(b"\x7fELF\x02\x01")
    assert b"libc" not in content
    assert b"GLIBC" not in content


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("linux", "x86_64", "linux-x86_64.so"),
        ("linux", "aarch64", "linux-aarch64.so"),
        ("linux", "arm64", "linux-aarch64.so"),
        ("darwin", "x86_64", "macos-x86_64.dylib"),
        ("darwin", "arm64", "macos-arm64.dylib"),
    ],
)
def test_each_platform_has_its_file(monkeypatch, system, machine, name):
    """Names of platforms lead to binaries that are there."""
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert kernel.file_name() == name
    assert name in build.TARGETS


@pytest.mark.parametrize(("system", "machine"), [("win32", "AMD64"), ("linux", "riscv64"), ("freebsd14", "amd64")])
def test_other_platforms_use_numpy_without_a_warning(monkeypatch, folder, warned, system, machine):
    """A platform that none is built for is no fault."""
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert kernel.load(folder) is None
    assert not warned.records


def test_the_binary_is_loaded(binary, warned):
    """A whole binary with the right sum is used."""
    assert kernel.load(binary.parent) is not None
    assert not warned.records


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def no_library(path):
    path.write_bytes(b"no library")
    relist(path)


def without_the_function(path):
    path.write_bytes(path.read_bytes().replace(b"fraud_score", b"fraud_scorf"))
    relist(path)


def relist(path):
    """Note the file as it is now."""
    listed = kernel.read_sums(path.parent) | {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
    (path.parent / kernel.SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in listed.items()))


@pytest.mark.parametrize(
    "spoil",
    [
        damage,
        no_library,
        without_the_function,
        lambda path: path.unlink(),
        lambda path: (path.parent / kernel.SUMS).unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
    ],
    ids=["one bit", "no library", "without the function", "missing", "no sums", "cut short"],
)
def test_what_is_not_the_built_binary_is_not_used(binary, warned, spoil):
    """It is never called; NumPy scores, and the log says why."""
    spoil(binary)
    assert kernel.load(binary.parent) is None
    assert "the compiled scorer is not used" in warned.text


def test_a_forest_scores_without_its_binary(scorer, monkeypatch, folder, binary):
    """Without a binary the same forest gives the same scores, and says which engine gave them."""
    features = np.random.default_rng(0).normal(size=(50, scorer.n_features)).astype(np.float32)
    assert scorer.engine == "kernel"
    damage(binary)
    monkeypatch.setattr(kernel, "FOLDER", folder)
    slow = Forest(scorer.roots, scorer.nodes, scorer.value, scorer.n_features)
    assert slow.engine == "numpy"
    assert slow.score(features).tobytes() == scorer.score(features).tobytes()
