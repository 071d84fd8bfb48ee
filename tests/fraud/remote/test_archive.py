"""An archive is what was published, every member of it, or nothing is imported: real archives, good and odd."""

import io
import json
import lzma
import tarfile
import tempfile
import tracemalloc
from pathlib import Path

import bentoml
import pytest

from fraud import store
from fraud.errors import RegistryError
from fraud.remote import archive
from fraud.settings import MODEL_NAME


@pytest.fixture(scope="module")
def good(saved, tmp_path_factory):
    """The archive of the shared model, as ``publish`` makes it."""
    return archive.pack(saved.model_version, tmp_path_factory.mktemp("good") / "model.bentomodel")


@pytest.fixture(scope="module")
def members(good):
    """Its files: name to content."""
    with tarfile.open(good) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}


def write(path, files, more=()):
    """An archive of ``files`` and of ``more`` members with their content."""
    with tarfile.open(path, "w:xz", preset=0) as tar:
        for name, content in files.items():
            tar.addfile(member(name, size=len(content)), io.BytesIO(content))
        for info, content in more:
            tar.addfile(info, io.BytesIO(content) if info.isfile() else None)
    return path


def member(name, kind=tarfile.REGTYPE, **facts):
    info = tarfile.TarInfo(name)
    info.type = kind
    for fact, value in facts.items():
        setattr(info, fact, value)
    return info


def refusal(path, saved):
    """The one line that refuses it; nothing was imported and no temporary folder is left."""
    before = store.versions()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", folder)  # others verify at the same time in the system's own
        with pytest.raises(RegistryError) as refused:
            archive.verify(path, saved)
        assert list(Path(folder).iterdir()) == []
    [line] = str(refused.value).splitlines()
    assert line.startswith(f"{MODEL_NAME}:{saved.model_version}: ")
    assert line.endswith("; nothing was imported")
    assert store.versions() == before
    return line


def yaml_with(content, **changes):
    """``model.yaml`` with other lines."""
    lines = content.decode().splitlines()
    for name, value in changes.items():
        lines = [f"{name}: {value}" if line.startswith(f"{name}:") else line for line in lines]
    return "\n".join(lines).encode()


def test_what_was_published_passes(good, saved):
    """BentoML's own archive, with the folder that it begins with."""
    archive.verify(good, saved)


def test_an_archive_without_hashes_in_its_entry_passes(members, saved, tmp_path):
    """As they were published by an earlier version: every file is still compared with the published manifest."""
    entry = members["./model.yaml"].decode()
    head, tail = entry.split("metadata:\n")
    old = head + "metadata: {}\n" + tail[tail.index("context:") :]
    archive.verify(write(tmp_path / "a", members | {"./model.yaml": old.encode()}), saved)


def test_another_threshold_in_the_archive_is_refused(members, saved, tmp_path):
    """The manifest inside is compared with the published one."""
    manifest = json.loads(members["./manifest.json"]) | {"threshold": 0.0}
    line = refusal(write(tmp_path / "a", members | {"./manifest.json": json.dumps(manifest).encode()}), saved)
    assert ": manifest.json in the archive is not what was saved" in line


@pytest.mark.parametrize("name", ["manifest.json", "model.yaml", "forest.safetensors", "saved_model.pkl"])
@pytest.mark.parametrize("change", ["lost", "emptied", "one byte more", "not text"])
def test_every_member_is_compared(members, saved, tmp_path, name, change):
    """Each file of the entry, lost or changed, is named."""
    files = dict(members)
    content = files.pop(f"./{name}")
    if change != "lost":
        files[f"./{name}"] = {"emptied": b"", "one byte more": content + b"-", "not text": b"\xff\xfe{"}[change]
    assert name in refusal(write(tmp_path / "a", files), saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "another_model"},
        {"version": "aaaaaaaaaaaaaaaa"},
        {"name": "../../escape"},
        {"metadata": "x", "  sha256": ""},
        {"context": "[]"},
        {"creation_time": "[]"},
        {"signatures": "3"},
    ],
    ids=str,
)
def test_another_entry_is_refused(members, saved, tmp_path, changes):
    """A model.yaml that names another model would leave a foreign entry in the store; a broken one a traceback."""
    entry = yaml_with(members["./model.yaml"], **changes)
    assert "model.yaml" in refusal(write(tmp_path / "a", members | {"./model.yaml": entry}), saved)


@pytest.mark.parametrize(
    "odd",
    [
        member("link", tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("hard", tarfile.LNKTYPE, linkname="manifest.json"),
        member("./manifest.json", tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("fifo", tarfile.FIFOTYPE),
        member("device", tarfile.CHRTYPE),
        member("folder", tarfile.DIRTYPE),
        member("../escape"),
        member("/absolute"),
        member("../manifest.json"),
        member("folder/manifest.json"),
        member("custom_objects.pkl"),
        member("manifest.json"),
        member("two\nlines"),
        member("x" * 3000),
    ],
    ids=lambda info: repr(info.name[:30]) + str(info.type),
)
@pytest.mark.parametrize("place", ["first", "last"])
def test_an_odd_member_is_refused(members, saved, tmp_path, odd, place):
    """Links, pipes, devices, folders, other names, and a name that is there twice."""
    if place == "first":
        path = write(tmp_path / "a", {}, [(odd, b""), *((member(n, size=len(c)), c) for n, c in members.items())])
    else:
        path = write(tmp_path / "a", members, [(odd, b"")])
    assert "the archive is not what our code writes (" in refusal(path, saved)


@pytest.mark.parametrize("change", ["no archive", "cut short", "one byte", "no compression", "empty"])
def test_what_is_no_archive_is_refused(good, members, saved, tmp_path, change):
    """In the same words, however it is damaged."""
    content = good.read_bytes()
    path = tmp_path / "a"
    middle = len(content) // 2
    path.write_bytes(
        {
            "no archive": b"<html>",
            "cut short": content[:middle],
            "one byte": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "no compression": lzma.decompress(content),
            "empty": b"",
        }[change]
    )
    assert "not what" in refusal(path, saved)


class Zeros(io.RawIOBase):
    """``size`` zeros, as a file."""

    def __init__(self, size):
        self.left = size

    def readable(self):
        return True

    def read(self, size=-1):
        taken = min(self.left, size)
        self.left -= taken
        return bytes(taken)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("more", tarfile.REGTYPE),
        ("./manifest.json", tarfile.REGTYPE),
        ("./saved_model.pkl", tarfile.REGTYPE),
        ("pax", tarfile.XHDTYPE),
        ("longname", tarfile.GNUTYPE_LONGNAME),
    ],
)
def test_a_member_of_many_zeros_takes_no_memory(saved, tmp_path, name, kind):
    """64 MiB, a few KiB in the archive: refused before they are read, or read a piece at a time."""
    size, path = 64 << 20, tmp_path / "a"
    with tarfile.open(path, "w:xz", preset=0) as tar:
        tar.addfile(member(name, kind, size=size), Zeros(size))
    tracemalloc.start()
    try:
        refusal(path, saved)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_what_the_store_does_not_take_is_one_line(good, saved):
    """A version that is there already, said by BentoML."""
    with pytest.raises(RegistryError, match=r"the model store does not take it .*already exists"):
        archive.unpack(good, saved)


def test_a_verified_archive_comes_back_as_the_same_entry(good, saved):
    """Deleted and unpacked again, it opens: its own hashes came with it."""
    tag = f"{MODEL_NAME}:{saved.model_version}"
    bentoml.models.delete(tag)
    archive.unpack(good, saved)
    assert store.open_served(store.get(tag)).manifest == saved
