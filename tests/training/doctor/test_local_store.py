"""Each damage of a local model store is named, with what to do, and hides no other model."""

import json
import shutil

import pytest

from fraud import store
from fraud.choice import local
from fraud.errors import ModelError
from fraud.settings import Settings
from training.doctor import local_store
from training.doctor.part import Part, noting


def look(**settings):
    part = Part("store")
    with noting(part):
        local_store.look(part, Settings(**settings))
    return part


def folder(home, version):
    return home / "models" / "fraud_detector" / version


def test_a_sound_store_is_well(home, versions):
    """Both models are seen, and the newest is the one that is served."""
    part = look()
    assert part.findings == []
    assert set(part.facts["entries"]) == set(part.manifests) == set(versions)
    assert part.facts["served"] == versions[1]


def test_an_empty_store_is_well(tmp_path, monkeypatch):
    """A machine that pulls the champion at its start has nothing before."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "nothing"))
    assert look().as_dict()["state"] == "well"
    assert not (tmp_path / "nothing").exists()


def edit_threshold(path):
    manifest = path / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"threshold": 0.0}))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (edit_threshold, "manifest.json is not the file that was saved; delete it with `bentoml models delete`"),
        (lambda path: (path / "saved_model.pkl").unlink(), "saved_model.pkl is missing"),
        (lambda path: (path / "forest.safetensors").write_bytes(b""), "forest.safetensors is not the file"),
        (lambda path: (path / "model.yaml").unlink(), "is not whole ("),
        (lambda path: (path / "model.yaml").write_text("{{{: -"), "is not whole ("),
        (lambda path: (path / "model.yaml").write_text(""), "is not whole ("),
    ],
    ids=["threshold", "lost", "emptied", "no entry file", "no YAML", "empty entry file"],
)
def test_a_damaged_entry_is_named_and_the_other_is_seen(home, versions, damage, words):
    """One finding, with the entry's name first."""
    broken, sound = versions
    damage(folder(home, broken))
    part = look()
    [finding] = part.findings
    assert finding.startswith(f"fraud_detector:{broken}: {words}")
    assert list(part.manifests) == [sound]


@pytest.mark.parametrize("content", [None, "", "{{{: -"], ids=["missing", "empty", "no YAML"])
def test_what_bentoml_cannot_read_is_mended_as_it_is_said(home, versions, content):
    """Every look at the store is one stated error that names the doctor; after the doctor's `rm -r` it is none."""
    entry = folder(home, versions[1]) / "model.yaml"
    entry.unlink() if content is None else entry.write_text(content)
    for ask in (store.versions, lambda: store.get(f"fraud_detector:{versions[1]}"), lambda: local.choose(None)):
        with pytest.raises(ModelError, match=r"not whole .*`python -m training doctor` names it"):
            ask()
    remedy = f"`rm -r {entry.parent}`"
    assert remedy in look().findings[0]
    shutil.rmtree(entry.parent)
    assert look().findings == []
    assert local.choose(None).version == versions[0]


def test_an_empty_name_of_the_newest_is_mended_as_it_is_said(home, versions):
    """A full disk may have left it: BentoML then finds no model, and names the store instead."""
    newest = home / "models" / "fraud_detector" / "latest"
    newest.write_text("")
    with pytest.raises(ModelError, match="`python -m training doctor` names it"):
        local.choose(None)
    [finding] = look().findings
    assert f"`rm {newest}`" in finding
    newest.unlink()
    assert look().findings == []
    assert local.choose(None).version == versions[1]


def test_a_renamed_entry_is_named(home, versions):
    """It would be served under another version than it says."""
    folder(home, versions[0]).rename(folder(home, "renamed"))
    assert any("fraud_detector:renamed: says of itself that it is" in finding for finding in look().findings)


def test_lost_hashes_of_rows_are_named(home, versions):
    """And damaged ones, of the other model."""
    store.rows_path(versions[0]).unlink()
    store.rows_path(versions[1]).write_bytes(b"no array")
    said = " ".join(look().findings)
    assert f"fraud_detector:{versions[0]}: the hashes of its training rows are not at" in said
    assert f"{store.rows_path(versions[1])}: cannot be read" in said


@pytest.mark.parametrize("named", [{}, {"model": "fraud_detector:gone"}], ids=["chosen", "FRAUD_MODEL"])
def test_a_version_to_be_served_that_is_not_there_is_named(home, named):
    """Where `use` chose it, or the environment names it."""
    (home / local.FILE).write_text("gone\n")
    [finding] = look(**named).findings
    assert "fraud_detector:gone" in finding


def test_looking_changes_nothing(home):
    """Every file is as it was, to the byte and the time."""

    def files():
        paths = (path for path in home.rglob("*") if path.is_file())
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}

    before = files()
    look()
    assert files() == before
