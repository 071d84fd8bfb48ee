"""A new entry of the model store is there whole, with what is kept beside it, or nothing of it is."""

import errno
import os
import shutil
from pathlib import Path

import bentoml
import numpy as np
import pytest

from fraud import home, store
from fraud.errors import ModelError
from fraud.features import of_default
from fraud.saving import entry
from fraud.scorer import file as forest_file
from tests.fraud.stored import save

pytestmark = pytest.mark.usefixtures("saved")
ROWS = np.array([3, 1, 2], dtype=np.uint64)


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def not_copied(source, target, **_):
    """What ``shutil.copytree`` says when the disk was full after the first file."""
    source, target = Path(source), Path(target)
    shutil.copy(source / "manifest.json", target / "manifest.json")
    said = f"[Errno 28] No space left on device: '{source}/x' -> '{target}/x'"
    raise shutil.Error([(f"{source}/x", f"{target}/x", said)])


def interrupted(source, target, **_):
    shutil.copy(Path(source) / "manifest.json", Path(target) / "manifest.json")
    raise KeyboardInterrupt


def held():
    """All files of the store but the scratch of BentoML, and what ``latest`` says."""
    folder = home.folder()
    files = {path for name in ("models", "fraud_rows", "fraud_history") for path in (folder / name).rglob("*")}
    return files, store.versions(), (folder / "models" / "fraud_detector" / "latest").read_text()


def latest_not_written(monkeypatch):
    """The disk is full when BentoML names the newest version, after it emptied that file."""
    opened = Path.open

    def open_(path, mode="r", *arguments, **options):
        if path.name == "latest" and "w" in mode:
            opened(path, "w").close()
            full()
        return opened(path, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_)


def keep(version):
    """What else is kept beside the entry."""
    path = home.history_path(version)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"states")


FAILURES = {
    "rows": lambda patch: patch.setattr(Path, "write_bytes", full),
    "pickle": lambda patch: patch.setattr("joblib.dump", full),
    "copy": lambda patch: patch.setattr(shutil, "copytree", not_copied),
    "latest": latest_not_written,
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_full_disk_is_a_stated_error_that_leaves_nothing(
    model, scorer, probes, facts, saved, monkeypatch, tmp_path, failure
):
    """It names the places and what the system said; no file of the model stays, and ``latest`` is as it was."""
    (home.folder() / "fraud_rows").mkdir(exist_ok=True)
    (home.folder() / "fraud_history").mkdir(exist_ok=True)
    before = held()
    FAILURES[failure](monkeypatch)
    with pytest.raises(ModelError) as caught:
        save(model, scorer, probes, facts, row_hashes=ROWS, keep=keep if failure != "rows" else lambda _: None)
    monkeypatch.undo()
    assert str(caught.value).startswith(
        f"BENTOML_HOME {home.folder()}: the model was not saved there (No space left on device), and nothing is left"
    )
    assert held() == before


def test_a_full_disk_under_the_scorer_is_a_stated_error(model, scorer, probes, facts, monkeypatch):
    """Its library has a word of its own for what the system says."""
    from safetensors import SafetensorError

    def refuse(*_, **__):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.numpy.save_file", refuse)
    with pytest.raises(ModelError, match=r"not saved there \(Error while .*No space left on device"):
        save(model, scorer, probes, facts)


def test_an_interrupted_copy_leaves_nothing(model, scorer, probes, facts, monkeypatch):
    """BentoML takes back what failed, and not what somebody ended: half an entry would hide all the others."""
    (home.folder() / "fraud_rows").mkdir(exist_ok=True)
    before = held()
    monkeypatch.setattr(shutil, "copytree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(model, scorer, probes, facts, row_hashes=ROWS)
    monkeypatch.undo()
    assert held() == before


@pytest.mark.parametrize("failure", [RuntimeError("boom"), KeyboardInterrupt()], ids=repr)
def test_a_failing_save_leaves_no_entry(model, scorer, probes, failure):
    """When the manifest cannot be made, the store is as before, latest too."""

    def describe(version, files):
        raise failure

    before = held()
    with pytest.raises(type(failure)):
        entry.save(model, scorer, of_default(), probes, describe, {})
    assert held() == before


def test_the_row_hashes_stand_beside_the_store(model, scorer, probes, facts):
    """Sorted, and in BentoML's home, outside of the entry: they never ship with it."""
    manifest = save(model, scorer, probes, facts, row_hashes=ROWS)
    path = store.rows_path(manifest.model_version)
    assert path.parents[1] == Path(store.get(f"fraud_detector:{manifest.model_version}").path).parents[2]
    assert np.load(path).tolist() == [1, 2, 3]


def test_what_else_is_kept_is_there_before_the_entry(model, scorer, probes, facts):
    """There is never a model without what it goes on from."""
    seen = []
    manifest = save(model, scorer, probes, facts, keep=lambda version: seen.append((version, store.versions())))
    assert [version for version, _ in seen] == [manifest.model_version]
    assert manifest.model_version not in seen[0][1]


def test_the_file_is_opened_by_bentoml(model, scorer, probes, facts):
    """The version that we choose is one as BentoML would choose it."""
    version = save(model, scorer, probes, facts).model_version
    assert str(bentoml.models.get("fraud_detector:latest").tag.version) == version
    assert forest_file.load(Path(bentoml.models.get(f"fraud_detector:{version}").path_of(store.FOREST_FILE)))
