"""One call for a batch leaves what the calls one after another leave, byte for byte."""

import os

import pytest

from fraud.history.files import at_once
from fraud.history.files.place import HEADER
from tests.fraud.history.test_store import LAYOUTS, batch, offline, opened, same

SIZES = (1, 7, 64, 2, 200, 1, 33)


def by_hand(store):
    """The same store, which makes its calls one after another."""
    store._at_once.add = lambda _: None
    return store


def content(folder):
    """All files but the noted facts, whose times differ; the journal up to its head."""
    return {
        path.name: path.read_bytes()[: 24 if path.name == "journal" else None]
        for path in sorted(folder.iterdir())
        if path.name != "facts.json"
    }


def test_files_and_features_are_the_same(tmp_path):
    """Late rows, rows without a key, and batches in which several ids share a bucket are among them."""
    quick, slow = opened(tmp_path / "quick"), by_hand(opened(tmp_path / "slow"))
    done = []
    call = quick._at_once.add
    quick._at_once.add = lambda one: done.append(call(one)) or done[-1]
    batches = [batch(rows, seed=seed, keys=25, start=1_700_000_000 - 9_000 * seed) for seed, rows in enumerate(SIZES)]
    with quick.gate.held(1), slow.gate.held(1):
        quick.add(batch(400, seed=99, keys=25))
        slow.add(batch(400, seed=99, keys=25))
        for one in batches:
            assert same(quick.add(one), slow.add(one))
    assert sum(one is not None for one in done) == len(SIZES)  # all but the first, whose keys were new
    assert content(tmp_path / "quick") == content(tmp_path / "slow")
    quick.close()
    slow.close()


@pytest.fixture
def store_of_usual_keys(tmp_path):
    """A store whose gate is had, and a batch that was added to it."""
    store = opened(tmp_path / "store")
    with store.gate.held(1):
        store.add(batch(400, seed=99, keys=25))
        known = batch(4, seed=98, keys=25)
        store.add(known)
        yield store, known
    store.close()


def test_what_is_not_usual_is_left_to_the_other_way(store_of_usual_keys):
    """A new key, a known id, an id twice in the batch, and rows of which some have an id; nothing was changed then."""
    store, known = store_of_usual_keys
    ask = store._at_once.add
    fresh = batch(4, seed=5, keys=25)
    keys = [key for key in fresh.keys[0] if key is not None]
    for odd in (
        batch(4, seed=6, keys=4_000),
        known,
        fresh._replace(names=["a", "b", "a", "c"]),
        fresh._replace(names=["a", "", "b", "c"]),
    ):
        before = store.journal.newest, store.states(LAYOUTS[0], keys)
        assert ask(odd) is None
        assert (store.journal.newest, store.states(LAYOUTS[0], keys)) == before
    assert ask(fresh._replace(names=[""] * 4)) is not None


def test_a_damaged_state_is_left_to_the_other_way(store_of_usual_keys):
    store, known = store_of_usual_keys
    slots = store._layouts[0][0]
    key = next(one for one in known.keys[0] if one is not None)
    (at,) = slots.where([key], store.journal.begin)
    os.pwrite(slots.descriptor, b"\xff" * 8, HEADER + at * slots.slot + 100)
    again = known._replace(names=[f"again-{row}" for row in range(len(known.names))])
    assert store._at_once.add(again) is None
    store.add(again)
    assert store.newly_damaged() == 1


def test_without_a_binary_all_goes_the_other_way(tmp_path, monkeypatch):
    monkeypatch.setattr(at_once.kernel, "load", lambda _: None)
    store = opened(tmp_path / "store")
    batches = [batch(20, seed=1), batch(20, seed=2)]
    with store.gate.held(1):
        found = [store.add(one) for one in batches]
    store.close()
    monkeypatch.undo()
    assert all(map(same, found, offline(batches)))
