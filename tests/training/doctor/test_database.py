"""Of the database, through the command that knows it: what keeps the service from writing."""

import os
import sys

import pytest

from fraud.inputs.keys import KeyHasher
from fraud.schema import default
from monitoring import database as real
from monitoring.storage import origins, revisions
from monitoring.storage.tables import Origin
from tests.monitoring.storage.test_revisions import old_file
from training.doctor import database
from training.doctor.part import Part

FINGERPRINT = KeyHasher("s" * 32).fingerprint


def look(path, seconds=60):
    part = Part("database")
    database.look(part, {**os.environ, "FRAUD_DATABASE_URL": f"sqlite:///{path}"}, seconds)
    return part


def test_a_sound_file_is_well_and_stays_as_it_is(tmp_path):
    """Its revision is told, and the secrets that keys were hashed with."""
    path = tmp_path / "fraud.sqlite"
    engine = real.connect(f"sqlite:///{path}")
    revisions.upgrade(engine)
    origin = Origin("v1", default().hash[:12], 0.5, None, FINGERPRINT)
    with engine.begin() as connection:
        origins.keep(connection, [origin], {})
    engine.dispose()
    before = path.read_bytes()
    part = look(path)
    assert (part.findings, part.facts["key_fingerprints"]) == ([], [FINGERPRINT])
    assert path.read_bytes() == before


def test_a_file_that_is_not_there_is_well_and_not_made(tmp_path):
    """The service makes it."""
    part = look(tmp_path / "no" / "folder" / "fraud.sqlite")
    assert part.findings == []
    assert list(tmp_path.iterdir()) == []


def test_tables_of_before_are_named(tmp_path):
    """With the rows that are still to be moved."""
    old_file(tmp_path / "fraud.sqlite")
    first, second = look(tmp_path / "fraud.sqlite").findings
    assert "of an older version" in first
    assert second.startswith("3 rows of `predictions` are not moved yet: run `python -m monitoring database upgrade`")


def test_a_file_that_is_no_database_is_named(tmp_path):
    """In the words of the database."""
    (tmp_path / "fraud.sqlite").write_text("no database at all " * 100)
    [finding] = look(tmp_path / "fraud.sqlite").findings
    assert "file is not a database" in finding


def test_a_folder_that_can_be_none_is_named(tmp_path):
    """A file stands where the folder should be."""
    (tmp_path / "data").write_text("")
    [finding] = look(tmp_path / "data" / "fraud.sqlite").findings
    assert finding == f"{tmp_path / 'data'} is no folder: FRAUD_DATABASE_URL names {tmp_path / 'data' / 'fraud.sqlite'}"


def test_what_does_not_answer_is_ended(tmp_path, monkeypatch):
    """The process that waits for it, too."""
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    [finding] = look(tmp_path / "fraud.sqlite", seconds=1).findings
    assert finding.startswith("did not answer within 1 s; ")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
