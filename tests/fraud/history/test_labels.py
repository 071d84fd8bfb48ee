"""Labels in the store: each counts once, in the bucket of its transaction's time, whatever is killed on the way."""

import os
import signal
import time

import numpy as np
import pytest

from fraud.history import engine, labels
from fraud.history.files.place import Limits
from fraud.history.labels import Mark
from fraud.history.layout import MICROSECONDS, layouts
from fraud.history.store import Store
from tests.fraud.history.test_engine import CARD, schema_of
from tests.fraud.history.test_store import LAYOUTS, LIMITS, SCHEMA, batch, opened, opened_beside, payments, started

SHOP = LAYOUTS[1]
DAY = 86_400 * MICROSECONDS


@pytest.fixture
def store(tmp_path):
    held = opened(tmp_path / "store")
    with held.gate.held(1):
        yield held
    held.close()


def frauds_of(one, seed=0, share=0.3):
    return (np.random.default_rng(seed).random(len(one.times)) < share).tolist()


def states(store, one):
    """Of the shops in a batch, each once."""
    return store.states(SHOP, list(dict.fromkeys(one.keys[1])))


def offline(added):
    """States of shops in the order in which they were first seen, of batches with their labels."""
    places, buffer = {}, np.zeros(2_000 * SHOP.size, np.uint8)
    for one, frauds in added:
        slots = np.array([places.setdefault(key, len(places)) for key in one.keys[1]])
        engine.advance(SHOP, buffer, slots, one.times, one.values[1], np.array(frauds, np.uint8))
    return dict(zip(places, map(bytes, buffer.reshape(-1, SHOP.size)), strict=False))


def test_labels_that_come_later_leave_the_states_of_the_offline_pass(store):
    """To the bit, in whichever order they and later transactions come, in batches of any size."""
    batches = [batch(rows, seed=seed) for seed, rows in enumerate([40, 100, 3, 60])]
    known = [frauds_of(one, seed) for seed, one in enumerate(batches)]
    order = np.random.default_rng(1).permutation(sum(len(one.times) for one in batches[:2])).tolist()
    both = [(which, row) for which in (0, 1) for row in range(len(batches[which].times))]
    store.add(batches[0])
    store.add(batches[1])
    for turn, place in enumerate(order):
        if turn == 50:
            store.add(batches[2])
        which, row = both[place]
        store.label(batches[which].only([row]), [known[which][row]])
    store.add(batches[3])
    store.label(batches[3], known[3])
    store.label(batches[2], known[2])
    expected = offline(zip(batches, known, strict=True))
    assert dict(zip(expected, store.states(SHOP, list(expected)), strict=True)) == expected
    assert sum(map(sum, known)) > 50


def test_a_label_counts_once(store, tmp_path):
    """However often it is given, by whom ever, also twice in one call, and by a store that was opened since."""
    one = batch(30, seed=1)
    frauds = frauds_of(one)
    store.add(one)
    assert store.label(one, frauds) == sum(frauds) > 0
    after = states(store, one)
    assert store.label(one, frauds) == 0
    assert set(store.outcomes) == {"unchanged"}
    other = opened_beside(store, tmp_path)
    assert other.label(one.only([frauds.index(True)] * 2), [True, True]) == 0
    assert states(other, one) == after
    other.close()


def test_a_label_that_is_told_otherwise_is_taken_back(store):
    """And told a third time counts again; of others, and of one that never was a fraud, nothing changes."""
    one = batch(30, seed=1)
    store.add(one)
    before = states(store, one)
    assert store.label(one, [False] * 30) == 0
    store.label(one, [True] * 30)
    after = states(store, one)
    assert store.label(one.only([3, 3]), [False, True]) == 2
    assert states(store, one) == after
    assert store.label(one, [False] * 30) == 30
    assert set(store.outcomes) == {"taken_back"}
    assert states(store, one) == before


def of_one_shop(days, name):
    """Transactions of a shop at so many days, named after their places."""
    one = batch(1, seed=1).only([0] * len(days))
    times = np.array([int(day * DAY) for day in days], np.int64) + 20_000 * DAY
    return one._replace(times=times, names=[f"{name}{place}" for place in range(len(days))])


def frauds_kept(store, one):
    """In the rings of each window."""
    [state] = states(store, one)
    rings = [np.frombuffer(state, "<u4", window.ring, window.frauds) for window in SHOP.windows]
    return [int(ring.sum()) for ring in rings]


def test_two_labels_of_one_bucket_are_two(store):
    """In one call and in two."""
    one = of_one_shop([1, 1, 1], "t")
    store.add(one)
    store.label(one.only([0, 1]), [True, True])
    store.label(one.only([2]), [True])
    assert frauds_kept(store, one) == [3, 3]


def test_a_bucket_that_left_its_ring_counts_nothing(store):
    """Of one window or of all; that is said, once. What was counted before is not taken from what came after."""
    one = of_one_shop([0, 0.01, 5], "t")  # the rings reach back 4 days and 10
    store.add(one)
    assert store.label(one.only([0]), [True]) == 1
    assert frauds_kept(store, one) == [0, 1]
    later = of_one_shop([30], "u")
    store.add(later)
    assert store.label(one, [True] * 3) == 0
    assert store.outcomes == ["unchanged", "late", "late"]
    assert store.label(one, [False, True, False]) == 0
    assert store.outcomes == ["late", "unchanged", "late"]
    assert frauds_kept(store, one) == [0, 0]


def test_what_the_store_does_not_know_stays_to_be_told(store):
    """A key that was never seen, a transaction that is still to come, one without an id: nothing is remembered."""
    one = of_one_shop([0, 3, 3], "t")
    assert store.label(one, [True] * 3) == 0
    assert store.outcomes == ["unknown"] * 3
    store.add(one.only([0]))
    assert store.label(one, [True] * 3) == 1
    assert store.outcomes == ["applied", "unknown", "unknown"]
    store.add(one)
    assert store.label(one, [True] * 3) == 2
    assert frauds_kept(store, one) == [3, 3]


def test_there_are_never_more_frauds_than_transactions(store):
    """A label of one that the store never added, as before it was begun, takes no place of others."""
    one = of_one_shop([1, 2, 3], "t")
    store.add(one.only([0, 2]))
    assert store.label(one._replace(names=["a", "b", "c"]), [True] * 3) == 2
    assert store.outcomes == ["applied", "unknown", "applied"]


def test_without_a_label_delay_there_is_nothing_to_do(tmp_path):
    """And no file of it."""
    own = layouts(schema_of(CARD))
    store = Store.open(f"file://{tmp_path / 'store'}", own, "ours", LIMITS)
    one = batch(5, seed=1)
    one = one._replace(keys=one.keys[:1], values=one.values[:1])
    with store.gate.held(1):
        store.add(one)
        assert store.label(one, [True] * 5) == 0
    store.note_labels({})
    assert len([*(tmp_path / "store").glob("ids-*")]) == 1
    assert [*(tmp_path / "store").glob("labels-*")] == []
    store.close()


def test_until_when_labels_were_applied_is_kept(tmp_path):
    """Whatever was in its place is no time."""
    store = opened(tmp_path / "store")
    [own] = store.labels()
    assert store.labels() == {own: Mark()}
    store.note_labels({own: Mark(1_700_000_000.123456, 5.5)})
    store.close()
    store = opened(tmp_path / "store")
    assert store.labels() == {own: Mark(1_700_000_000.123456, 5.5)}
    [note] = (tmp_path / "store").glob("labels-*")
    note.write_bytes(b"\xff")
    assert store.labels() == {own: Mark()}
    store.close()


def test_rows_of_another_schema_are_read_where_keys_and_time_are_the_same():
    """Whatever else it has."""
    rows, texts, names = payments(20, seed=1)
    read = labels.reader(schema_of(CARD), LAYOUTS, "at")
    own, expected = read(rows, texts, names), batch(20, seed=1)
    assert own.keys == [[None] * 20, expected.keys[1]]
    assert own.times.tobytes() == expected.times.tobytes()
    assert labels.reader(SCHEMA, LAYOUTS, "when") is None


MANY = """
import sys
from pathlib import Path
from tests.fraud.history.test_labels import Limits, batch, frauds_of, opened
store = opened(Path(sys.argv[1]), Limits(2_000, 10_000))
print("open", flush=True)
turn = 0
while True:
    for seed in range(40):
        one = batch(8, seed=seed, keys=30)
        with store.gate.held(5):
            store.label(one, [fraud != bool(turn % 2) for fraud in frauds_of(one, seed)])
    turn += 1
"""


def test_killed_in_the_middle_a_label_is_applied_or_not(tmp_path):
    """States and memory are of one mind at whichever moment the process was killed: told again, all are right."""
    batches = [batch(8, seed=seed, keys=30) for seed in range(40)]
    known = [frauds_of(one, seed) for seed, one in enumerate(batches)]
    limits, random = Limits(2_000, 10_000), np.random.default_rng(0)
    store = opened(tmp_path / "store", limits)
    with store.gate.held(1):
        for one in batches:
            store.add(one)
    store.close()
    expected = offline(zip(batches, known, strict=True))
    for _ in range(5):
        with started(MANY, tmp_path / "store") as process:
            assert process.stdout.readline() == "open\n"
            time.sleep(random.random() * 0.3)
            os.kill(process.pid, signal.SIGKILL)
        store = opened(tmp_path / "store", limits)
        with store.gate.held(1):
            for one, frauds in zip(batches, known, strict=True):
                store.label(one, frauds)
            assert dict(zip(expected, store.states(SHOP, list(expected)), strict=True)) == expected
        store.close()
