"""A store whose files are not what was written, or somebody else's: nothing is lost in silence."""

import os
import signal
from pathlib import Path

import pytest

from fraud.errors import DamagedHistoryError, HistoryError
from fraud.history.files import rebuild
from fraud.history.files.folder import Opening
from fraud.history.files.ids import Ids
from fraud.history.files.journal import Journal
from fraud.history.files.place import HEADER
from fraud.history.store import Limits, kind_of
from tests.fraud.history.test_store import LAYOUTS, START, batch, offline, opened, opened_beside, same

ONE = batch(200, seed=1)
KEYS = sorted(set(ONE.keys[1]))


@pytest.fixture
def folder(tmp_path):
    """Of a store that is closed, with keys in it."""
    store = opened(tmp_path / "store")
    with store.gate.held(1):
        store.add(ONE)
    store.close()
    return tmp_path / "store"


def name(kind, layout=1):
    return f"{kind}-{LAYOUTS[layout].fingerprint}"


def kept(store):
    """How many keys have a state."""
    with store.gate.held(1):
        return sum(map(bool, store.states(LAYOUTS[1], KEYS)))


def test_what_else_is_in_the_folder_stays_as_it_is(tmp_path):
    """``lost+found`` of a fresh disk, or whatever a mistaken FRAUD_HISTORY_URL names."""
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "precious.txt").write_text("")
    store = opened(tmp_path)
    assert store.said == []
    assert {"lost+found", "precious.txt"} < {path.name for path in tmp_path.iterdir()}
    store.close()


def test_killed_while_the_index_is_made_anew_no_key_is_lost(folder):
    """There is no index until it is whole."""
    (folder / name("index")).unlink()
    child = os.fork()
    if not child:
        rebuild.is_whole = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        opened(folder)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    store = opened(folder)
    assert kept(store) == len(KEYS)
    store.close()


@pytest.mark.parametrize("kind", ["states", "index"])
def test_files_that_were_swapped_are_noticed(folder, kind):
    """States of another size would be written over each other; an index of another history finds no key."""
    one, other = folder / name(kind, 0), folder / name(kind, 1)
    one.rename(folder / "aside")
    other.rename(one)
    (folder / "aside").rename(other)
    store = opened(folder)
    if kind == "states":
        assert (len(store.said), kept(store)) == (2, 0)
    else:
        assert kept(store) == len(KEYS)
    with store.gate.held(1):
        store.add(batch(200, seed=2))
    store.close()


@pytest.mark.parametrize("other", ["index", "ids", "journal", "facts.json"])
def test_another_file_in_the_place_of_states_is_set_aside(folder, other):
    """Whichever of the store's it is."""
    (folder / name("states")).write_bytes(next(folder.glob(f"{other}*")).read_bytes())
    store = opened(folder)
    assert "was set aside" in store.said[0]
    assert kept(store) == 0
    store.close()


@pytest.mark.parametrize("kind", ["states", "index", "ids", "journal", "facts.json"])
@pytest.mark.parametrize("what", ["folder", "link", "pipe"])
def test_what_is_no_file_is_set_aside(folder, kind, what):
    """And a link is not followed to elsewhere."""
    path = next(folder.glob(f"{kind}*"))
    content = path.read_bytes()
    path.unlink()
    elsewhere = folder.parent / "elsewhere"
    elsewhere.write_bytes(content)
    {"folder": path.mkdir, "link": lambda: path.symlink_to(elsewhere), "pipe": lambda: os.mkfifo(path)}[what]()
    store = opened(folder)
    assert "was set aside" in store.said[0]
    with store.gate.held(1):
        store.add(batch(50, seed=2))
    assert elsewhere.read_bytes() == content
    store.close()
    (folder / "journal").write_bytes(b"")
    aside = sorted(folder.glob("*.damaged-*"))
    opened(folder).close()
    assert set(aside) <= {*folder.iterdir()}


def test_a_store_that_is_set_aside_takes_no_more(folder):
    """Who has it open would add to what nobody else sees."""
    store = opened(folder)
    (folder / "facts.json").unlink()
    opened(folder).close()
    with store.gate.held(1), pytest.raises(DamagedHistoryError, match="set aside by another process"):
        store.add(batch(5, seed=2))
    store.close()


def test_a_folder_that_was_moved_is_noticed(folder):
    """Its files have names still, but not those that the next worker opens."""
    store = opened(folder)
    assert store.is_there()
    folder.rename(folder.with_name("moved"))
    assert not store.is_there()
    store.close()


def test_a_lower_limit_loses_nothing(folder):
    """Of a command in a shell without the service's settings, for one: keys and ids stay, and the others' store too."""
    store = opened(folder, Limits(5_000, 5_000))
    other = opened(folder, Limits(20, 100))
    assert other.said == []
    assert kept(other) == len(KEYS)
    with other.gate.held(1):
        assert other.ids.known(other.ids.hashed("1-0")) is None  # it had fewer places, and was replaced by the larger
        once = other.add(ONE)
    with store.gate.held(1):
        assert same(store.add(ONE), once)
    for one in (store, other):
        one.close()


def test_zeros_in_the_place_of_states_are_counted(folder):
    """As a disk leaves them that lost what was written: in use, and where the index is made anew."""
    store = opened(folder)
    with (folder / name("states")).open("r+b") as file:
        file.seek(HEADER)
        file.write(bytes(4 * 4_096))
    lost = len(KEYS) - kept(store)
    assert store.newly_damaged() == lost > 0
    store.close()
    (folder / name("index")).unlink()
    store = opened(folder)
    assert store.newly_damaged() >= lost
    store.close()


def test_slots_that_leave_are_no_damage_when_the_index_is_made_anew(folder):
    """They say that they are free, and are used again."""
    store = opened(folder)
    with store.gate.held(1):
        store.forget(LAYOUTS[1], KEYS[:5])
        slots = store.everything()[1]
        used = slots.counts()[0]
    store.close()
    (folder / name("index")).unlink()
    store = opened(folder)
    assert (store.newly_damaged(), kept(store)) == (0, len(KEYS) - 5)
    with store.gate.held(1):
        store.add(ONE._replace(names=[""] * 200))
        assert (store.everything()[1].counts()[0], store.newly_damaged()) == (used, 0)
    store.close()


def test_a_damaged_free_slot_gives_away_no_other(folder):
    """Its number of the next one, whatever stands there, is not believed."""
    store = opened(folder)
    with store.gate.held(1):
        slots = store.everything()[1]
        where = slots.read(KEYS)[0]
        store.forget(LAYOUTS[1], KEYS[:5])
        for slot, number in zip(where[:5], [2**64 - 1, 2**63, 2**40, where[20] + 1, where[21] + 1], strict=True):
            os.pwrite(slots.descriptor, number.to_bytes(8, "little"), slots._at(slot) + 16)
        before = [state for state in store.states(LAYOUTS[1], KEYS) if state]
        store.add(batch(30, seed=9, keys=10**6))
        assert [state for state in store.states(LAYOUTS[1], KEYS) if state] == before
    store.close()


def test_a_folder_without_rights_is_said(tmp_path, monkeypatch):
    """In one line, and the worker goes on."""
    real = os.open

    def refused(path, *rest):
        if path == tmp_path:
            raise PermissionError(13, "Permission denied")
        return real(path, *rest)

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(HistoryError, match=r"cannot be written \(Permission denied\)"):
        opened(tmp_path)


def test_states_of_before_are_there_in_a_store_that_was_mended(folder, tmp_path):
    """To the bit."""
    (folder / name("index")).unlink()
    store = opened(folder)
    *_, expected = offline([ONE, batch(100, seed=2)])
    with store.gate.held(1):
        other = opened_beside(store, tmp_path)
        assert same(other.add(batch(100, seed=2)), expected)
    other.close()
    store.close()


def test_links_in_a_circle_are_said(tmp_path):
    """In one line: a worker that cannot have the store goes on."""
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(HistoryError, match="cannot be written"):
        opened(tmp_path / "circle" / "store")


def test_what_cannot_be_opened_leaves_no_file_open(folder, monkeypatch):
    """A disk without room, after a start of the machine or with a higher limit: it is tried four times a second."""

    def full(*_):
        raise OSError(28, "No space left on device")

    limits = Limits(1_000, 5_000)
    files = Path("/proc/self/fd") if Path("/proc/self/fd").is_dir() else Path("/dev/fd")
    before = len(list(files.iterdir()))
    for owner, attempted in ((Journal, "reborn"), (Opening, "_begin_journal")):
        for _ in range(3):
            with monkeypatch.context() as on_full_disk:
                on_full_disk.setattr(owner, attempted, full)
                on_full_disk.setattr("fraud.history.files.folder.boot_number", lambda: 7)
                if owner is Opening:
                    on_full_disk.setattr(Journal, "reborn", lambda *_: None)
                    (folder / f"ids-{kind_of(LAYOUTS)}").unlink()
                    opened_ids = Ids(folder, kind_of(LAYOUTS), 8, 1)  # of other features: it is replaced
                    opened_ids.close()
                with pytest.raises(HistoryError, match="No space left"):
                    opened(folder, limits)
    assert len(list(files.iterdir())) == before


def test_a_key_that_a_damaged_index_did_not_find_stands_once_when_it_is_made_anew(folder):
    """With its later state, and who forgets it forgets all of it."""
    path = folder / name("index")
    path.write_bytes(path.read_bytes()[:HEADER] + bytes(path.stat().st_size - HEADER))
    store = opened(folder)
    with store.gate.held(1):
        store.add(batch(200, seed=2, start=START + 10**7))
        later = store.states(LAYOUTS[1], KEYS)
        assert all(later)
    store.close()
    path.unlink()
    store = opened(folder)
    assert store.newly_damaged() == len(KEYS)
    with store.gate.held(1):
        assert store.states(LAYOUTS[1], KEYS) == later
        assert store.forget(LAYOUTS[1], KEYS) == len(KEYS)
        assert not any(store.states(LAYOUTS[1], KEYS))
    store.close()
