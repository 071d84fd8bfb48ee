"""What was written of a version goes again when it does not come to its end; what was there before stays."""

import time
from threading import Event, Thread

import pytest

from fraud import home, store
from fraud.errors import ModelError, RegistryError
from fraud.saving.whole import whole

VERSION = "aaaaaaaaaaaaaaaa"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the entries of an empty store."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    folder = tmp_path / "models" / "fraud_detector"
    folder.mkdir(parents=True)
    return folder


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("something")


def test_what_ends_well_stays(folder):
    """Nothing is taken back."""
    with whole(VERSION):
        write(folder / VERSION / "model.yaml")
        write(store.rows_path(VERSION))
    assert (folder / VERSION / "model.yaml").is_file()
    assert store.rows_path(VERSION).is_file()


@pytest.mark.parametrize("before", [None, "", "bbbbbbbbbbbbbbbb"])
@pytest.mark.parametrize("after", ["", VERSION])
def test_latest_is_as_before(folder, before, after):
    """An empty one, which hides every model, goes: BentoML makes it again."""
    latest = folder / "latest"
    if before is not None:
        latest.write_text(before)
    with pytest.raises(RegistryError), whole(VERSION):
        write(folder / VERSION / "model.yaml")
        write(home.history_path(VERSION))
        latest.write_text(after)
        raise RegistryError("refused")
    assert (latest.read_text() if latest.exists() else None) == (before or None)
    assert not (folder / VERSION).exists()
    assert not home.history_path(VERSION).exists()


def test_latest_that_somebody_else_wrote_meanwhile_stays(folder):
    """Two may train at once."""
    with pytest.raises(RegistryError), whole(VERSION):
        (folder / "latest").write_text("cccccccccccccccc")
        raise RegistryError("refused")
    assert (folder / "latest").read_text() == "cccccccccccccccc"


def test_what_was_there_before_stays(folder):
    """A model that was pulled already is not lost when pulling it again fails."""
    there = (folder / VERSION / "model.yaml", store.rows_path(VERSION))
    for path in there:
        write(path)
    with pytest.raises(ModelError, match=r"was not saved there \(Permission denied\)"), whole(VERSION):
        write(home.history_path(VERSION))
        raise PermissionError(13, "Permission denied")
    assert all(path.is_file() for path in there)
    assert not home.history_path(VERSION).exists()


def test_what_another_brought_meanwhile_stays(folder):
    """Two may pull the same version at once: who comes second waits, and takes back nothing of the first one's."""
    begun = Event()

    def bring():
        with whole(VERSION):
            begun.set()
            time.sleep(0.2)  # without a wait the second would look before this is written
            write(folder / VERSION / "model.yaml")

    first = Thread(target=bring)
    first.start()
    begun.wait(10)
    with pytest.raises(RegistryError), whole(VERSION):
        first.join(10)
        raise RegistryError("already there")
    assert (folder / VERSION / "model.yaml").is_file()
