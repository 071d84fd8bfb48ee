"""One call for a batch leaves what the calls one after another leave, byte for byte."""

import os
from unittest.mock import Mock

import numpy as np
import pytest

from fraud.errors import DamagedHistoryError
from fraud.history.batch import reader
from fraud.history.files import filesystem
from fraud.history.files.index import WAYS
from fraud.history.files.place import HEADER
from fraud.history.keys import bytes_of
from fraud.history.layout import layouts
from fraud.history.store import Store
from tests.fraud.history.test_engine import CARD, schema_of
from tests.fraud.history.test_store import (
    HASHED,
    LAYOUTS,
    READ,
    SCHEMA,
    batch,
    offline,
    opened,
    opened_beside,
    payments,
    same,
)

SIZES = (1, 7, 64, 2, 200, 1, 33)
LATEST = 2**62


def content(folder):
    """All files; of the journal the head without its last checksum."""
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    return files | {"journal": files["journal"][8:24]}


@pytest.fixture
def store(tmp_path):
    """One to which batches were added, whose gate is had."""
    made = opened(tmp_path / "store")
    with made.gate.held(1):
        made.add(batch(400, seed=99, keys=25))
        yield made
    made.close()


def usual(**how):
    return payments(4, keys=25, **how)


def test_files_and_features_are_the_same(tmp_path):
    """Late rows, rows without a key or an amount, and batches in which several ids share a bucket are among them."""
    quick, slow = opened(tmp_path / "quick"), opened(tmp_path / "slow")
    begins = [1_700_000_000.25 - 9_000 * seed for seed in range(len(SIZES))]
    given = [payments(rows, seed=seed, keys=25, start=begins[seed]) for seed, rows in enumerate(SIZES)]
    given[2][0][5:9, 1] = -0.125, 1e300, -1e18, 0.005
    given[2][0][9, 0] = -1e300
    with quick.gate.held(1), slow.gate.held(1):
        quick.add(batch(400, seed=99, keys=25))
        slow.add(batch(400, seed=99, keys=25))
        for one in given:
            found = quick.at_once(SCHEMA).add(*one, LATEST)
            assert found is not None
            assert same(found, slow.add(READ(*one)))
    assert content(tmp_path / "quick") == content(tmp_path / "slow")
    quick.close()
    slow.close()


@pytest.mark.parametrize(
    "odd",
    [
        payments(4, seed=99, names=["99-3", "n1", "n2", "n3"], keys=25),
        usual(seed=5, names=["a", "b", "a", "c"]),
        usual(seed=5, names=["a", "", "b", "c"]),
        usual(seed=5, start=2_000_000_000),
    ],
    ids=["a known id", "an id twice", "some without an id", "a time of the future"],
)
def test_what_is_not_usual_is_left_to_the_other_way(store, odd):
    """Nothing was changed then."""
    keys = [key for key in READ(*odd).keys[0] if key is not None]
    before = store.journal.newest, store.states(LAYOUTS[0], keys)
    assert store.at_once(SCHEMA).add(*odd, 1_900_000_000_000_000) is None
    assert (store.journal.newest, store.states(LAYOUTS[0], keys)) == before


def test_new_keys_are_usual(tmp_path):
    """They get a slot before, with the state of a key that was never seen."""
    quick, slow = opened(tmp_path / "quick"), opened(tmp_path / "slow")
    with quick.gate.held(1), slow.gate.held(1):
        for seed in range(3):
            one = payments(30, seed=seed, keys=4_000)
            assert same(quick.at_once(SCHEMA).add(*one, LATEST), slow.add(READ(*one)))
    assert content(tmp_path / "quick") == content(tmp_path / "slow")
    quick.close()
    slow.close()


def test_a_new_key_of_the_future_gets_no_slot(store):
    """Nobody fills the store with transactions that are never added."""
    used = store.keys()
    assert store.at_once(SCHEMA).add(*payments(4, seed=5, keys=4_000, start=2_000_000_000), LATEST // 10**4) is None
    assert store.keys() == used


def test_a_key_that_only_has_a_slot_was_never_seen(store):
    """A batch that another reason kept from being added left it."""
    known, new = payments(1, seed=99, keys=25), payments(1, seed=5, keys=4_000)
    odd = np.vstack([known[0], new[0]]), [*known[1], *new[1]], [known[2][0], "new"]
    store.add(READ(*known))
    assert store.at_once(SCHEMA).add(*odd, LATEST) is None
    assert store.states(LAYOUTS[1], [READ(*new).keys[1][0]]) == [b""]


def test_the_newest_time_is_known_to_who_looks_through_all_states(store):
    """Usual batches note it in the journal alone."""
    rows, texts, names = usual(seed=3, start=1_800_000_000)
    store.at_once(SCHEMA).add(rows, texts, names, LATEST)
    store.everything()
    assert store.journal.newest == READ(rows, texts, names).times.max()


def test_where_there_is_no_room_in_memory_all_goes_the_other_way(store, monkeypatch):
    """It is tried once, not by each call."""
    with monkeypatch.context() as full:
        full.setattr("fraud.history.store.AtOnce", Mock(side_effect=OSError))
        with pytest.raises(OSError):
            store.at_once(SCHEMA)
    assert store.at_once(SCHEMA) is None


def test_a_key_that_another_let_go_begins_anew(store, tmp_path):
    """In whichever slot."""
    rows, texts, names = usual(seed=3)
    store.at_once(SCHEMA).add(rows, texts, names, LATEST)
    keys = READ(rows, texts, names).keys[1]
    other = opened_beside(store, tmp_path)
    other.journal.begin()
    other.forget(LAYOUTS[1], keys)
    other.close()
    found = store.at_once(SCHEMA).add(rows, texts, [f"more-{name}" for name in names], LATEST)
    assert found[0, len(LAYOUTS[0].made)] == 1
    assert all(store.states(LAYOUTS[1], keys))


def test_a_key_is_found_behind_a_full_bucket_of_the_index(store):
    """Also after keys of that bucket were forgotten."""
    slots = store._layouts[1][0]
    hashed = [HASHED(f"s{number}") for number in range(40 * slots.buckets)]
    shops = [one for one in hashed if int.from_bytes(bytes_of(one)[8:], "little") % slots.buckets == 0]
    assert len(shops) > WAYS

    def counts():
        rows = np.column_stack([np.full(len(shops), 1_700_000_000), np.ones(len(shops))])
        found = store.at_once(SCHEMA).add(rows, [(None, shop) for shop in shops], [""] * len(shops), LATEST)
        return found[:, len(LAYOUTS[0].made)].tolist()

    assert counts() == [1] * len(shops)
    store.forget(LAYOUTS[1], [bytes_of(shop) for shop in shops[:3]])
    assert counts() == [1] * 3 + [2] * (len(shops) - 3)
    assert counts() == [2] * 3 + [3] * (len(shops) - 3)


def test_rows_without_ids_are_usual(store):
    """Where none has one."""
    rows, texts, _ = usual(seed=7)
    assert store.at_once(SCHEMA).add(rows, texts, [""] * 4, LATEST) is not None


def test_a_damaged_state_is_left_to_the_other_way(store):
    """Which counts it."""
    rows, texts, names = usual(seed=8)
    slots = store._layouts[0][0]
    (at,), _ = slots.read([next(key for key in READ(rows, texts, names).keys[0] if key is not None)])
    os.pwrite(slots.descriptor, b"\xff" * 8, HEADER + at * slots.slot + 100)
    assert store.at_once(SCHEMA).add(rows, texts, names, LATEST) is None
    store.add(READ(rows, texts, names))
    assert store.newly_damaged() == 1


@pytest.mark.parametrize("size", [10, None])
def test_a_damaged_index_is_no_new_key(tmp_path, size):
    """Whoever opens the store next makes it anew."""
    opened(tmp_path / "store").close()
    store = opened(tmp_path / "store")
    slots = store._layouts[1][0]
    whole = os.fstat(slots.index_descriptor).st_size
    os.pwrite(slots.index_descriptor, b"\xff" * (whole - HEADER), HEADER)
    os.ftruncate(slots.index_descriptor, size or whole)
    with store.gate.held(1), pytest.raises(DamagedHistoryError):
        store.at_once(SCHEMA).add(*usual(seed=8), LATEST)


@pytest.mark.parametrize("which", ["states", "ids", "journal"])
def test_a_file_that_was_cut_off_is_not_looked_at(store, which):
    """That would end the process by a signal."""
    files = {"states": store._layouts[0][0], "ids": store.ids, "journal": store.journal}
    quick = store.at_once(SCHEMA)
    assert quick.add(*usual(seed=9), LATEST) is not None
    os.ftruncate(files[which].descriptor, 10)
    again = usual(seed=9, names=["1", "2", "3", "4"])
    assert quick.add(*again, LATEST) is None
    with pytest.raises(DamagedHistoryError):
        store.add(READ(*again))


def test_where_files_cannot_be_mapped_all_goes_the_other_way(tmp_path, monkeypatch):
    """With the same features."""
    monkeypatch.setattr(filesystem, "IN_PLACE", frozenset())
    store = opened(tmp_path / "store")
    batches = [batch(20, seed=1), batch(20, seed=2)]
    with store.gate.held(1):
        assert store.at_once(SCHEMA) is None
        found = [store.add(one) for one in batches]
    store.close()
    assert all(map(same, found, offline(batches)))


def test_a_missing_amount_adds_nothing(tmp_path):
    """As in Python, where a column may be missing."""
    schema = schema_of(CARD, missing=True)
    own = layouts(schema)
    rows, texts, names = usual(seed=1)
    texts = [(card, None) for card, _ in texts]
    rows[1, 1] = np.nan
    found = []
    for name in ("quick", "slow"):
        store = Store.open(f"file://{tmp_path / name}", own, "ours")
        with store.gate.held(1):
            read = reader(schema, own)
            store.add(read(rows, texts, [""] * 4))
            if name == "quick":
                found.append(store.at_once(schema).add(rows, texts, names, LATEST))
            else:
                found.append(store.add(read(rows, texts, names)))
        store.close()
    assert same(*found)
