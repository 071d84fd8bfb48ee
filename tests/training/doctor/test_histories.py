"""The store of histories in files, seen without being opened. Redis: tests/e2e/test_history_redis_access.py."""

import json
from pathlib import Path

import pytest

from fraud import schema
from fraud.history.layout import layouts
from fraud.history.store import Store
from fraud.inputs.keys import KeyHasher
from fraud.settings import Settings
from tests.histories import SCHEMA, SECRET
from training.doctor import examine, histories
from training.doctor.part import Part, bounded

LAYOUTS = layouts(schema.parse(SCHEMA, "test"))
OURS = KeyHasher(SECRET).fingerprint
NUMBER, ESCAPES = (json.dumps({"format": 1, "key_fingerprint": one}).encode() for one in (7, "a\n\x1b[31m"))


@pytest.fixture
def store(tmp_path):
    """The folder of one, and the settings that name it."""
    folder = tmp_path / "store"
    settings = Settings(history_url=f"file://{folder}")
    Store.open(str(settings.history_url), LAYOUTS, OURS).close()
    return folder, settings


def seen(settings):
    return bounded(Part("histories"), lambda part: histories.look(part, settings), 10)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_whose_it_is_and_of_which_histories(store):
    """Nothing is changed."""
    folder, settings = store
    before = content(folder)
    part = seen(settings)
    assert part.findings == []
    assert part.facts["key_fingerprint"] == OURS
    assert part.facts["layouts"] == sorted(one.fingerprint for one in LAYOUTS)
    assert part.facts["bytes"] >= len(before["facts.json"])
    assert content(folder) == before


def test_what_was_set_aside_is_no_history(store):
    """The model's are to be warmed then."""
    folder, settings = store
    states = next(folder.glob("states-*"))
    states.rename(folder / f"{states.name}.damaged-20260101T000000Z")
    assert len(seen(settings).facts["layouts"]) == len(LAYOUTS) - 1


def test_none_is_there(tmp_path):
    """The service begins one: that is nothing wrong, and not done here."""
    settings = Settings(history_url=f"file://{tmp_path}/none")
    assert histories.is_set(settings)
    part = seen(settings)
    assert (part.findings, part.facts["layouts"]) == ([], [])
    assert not (tmp_path / "none").exists()


def test_one_that_nobody_named_is_seen_where_it_is(tmp_path, monkeypatch):
    """In ``BENTOML_HOME``."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    assert not histories.is_set(Settings())
    Store.open(f"file://{tmp_path}/fraud_history/store", LAYOUTS, OURS).close()
    assert histories.is_set(Settings())
    assert seen(Settings()).facts["key_fingerprint"] == OURS


@pytest.mark.parametrize("damage", [b"", b"[]", b"\xff", b'{"format": 1}', NUMBER, ESCAPES], ids=repr)
def test_damage_is_a_finding(store, damage):
    """Of which histories it was nobody knows then."""
    folder, settings = store
    (folder / "facts.json").write_bytes(damage)
    part = seen(settings)
    assert part.findings == [f"{folder}/facts.json is damaged: the service sets the store aside, and begins anew"]
    assert "layouts" not in part.facts


def test_a_store_of_a_later_version_is_a_finding(store):
    """The service does not start on it."""
    folder, settings = store
    (folder / "facts.json").write_text(json.dumps({"format": 99, "key_fingerprint": OURS}))
    assert seen(settings).findings == [f"{folder}: a store of format 99, this code has 1"]


def test_a_home_that_cannot_be_looked_into_hides_no_other_part(monkeypatch, tmp_path):
    """Of a name that no file system takes."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / ("x" * 300)))
    parts = {part.name: part for part in examine.examine({}, 10)}
    assert "name too long" in parts["histories"].findings[0]
    assert "agreement" in parts


def test_what_cannot_be_read_is_a_finding(tmp_path):
    """A file where the folder should be."""
    path = Path(tmp_path / "file")
    path.touch()
    assert seen(Settings(history_url=f"file://{path}")).findings == [f"{path}: cannot be read (Not a directory)"]
