"""Histories on the way of a call: equal to the engine's, never in the way of an answer, nothing added twice."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from fraud import schema
from fraud.history import room
from fraud.history.files.gate import Gate
from fraud.history.layout import layouts
from fraud.history.store import Store
from fraud.inputs.keys import KeyHasher
from fraud.replay.states import States
from fraud.rows import ScoredRow
from fraud.settings import Settings
from monitoring.history_metrics import HistoryMetrics
from serving.contract.contract import Contract
from serving.contract.quick import Quick
from serving.history.online import Online
from tests import histories
from tests.fraud.history.test_store import HOLDER
from tests.test_architecture import ROOT

SCHEMA = schema.parse(histories.SCHEMA, "payments.toml")
HASHER = KeyHasher(histories.SECRET)
CONTRACT = Contract(SCHEMA, {"country": ("DE", "FR", "PL")}, HASHER)
CARD, SHOP = 1, 2
QUICK = Quick(CONTRACT)


def decoded(rows, *, seed=0, at=None):
    """Payments as calls bring them; all from the past unless ``at``, the time of all, says otherwise."""
    frame = histories.payments(rows, seed)
    frame["at"] = frame["at"].dt.strftime("%Y-%m-%dT%H:%M:%S.%f%z") if at is None else at
    frame = frame.drop(columns="is_fraud")
    return [QUICK.decode_one(row.to_json().encode()) for _, row in frame.iterrows()]


def offline(rows, states=None):
    """Their features by ``fraud.replay``."""
    states = states or States(SCHEMA)
    values = np.frombuffer(b"".join(one.row for one in rows)).reshape(len(rows), -1)
    keys = {"card_id": [one.texts[CARD] for one in rows], "shop_id": [one.texts[SHOP] for one in rows]}
    return states.advance(values, keys)


def echo(model, rows):
    """A model that says what it was shown: the histories of each row."""
    assert model is CONTRACT
    return [ScoredRow(0.5, False, "v", row[len(SCHEMA.inputs) :].tobytes()) for row in rows]


class Worker:
    """An Online with its metrics; the thread of its keeper does not run, its work is done when told."""

    def __init__(self, folder, **settings):
        self.registry = CollectorRegistry()
        read = Settings(history_url=f"file://{folder}", **settings)
        self.online = Online(SCHEMA, HASHER.fingerprint, read, HistoryMetrics(self.registry))
        self.keeper = self.online.keeper
        self.keeper._open()

    async def soon(self, rows):
        found = self.online.score(rows, echo)
        return await found if isinstance(found, Awaitable) else found

    def score(self, rows):
        scored = asyncio.run(self.soon(rows))
        return np.array([np.frombuffer(one.features) for one in scored])

    def count(self, name, **labels):
        self.online.publish()
        return self.registry.get_sample_value(f"fraud_history_{name}", labels)

    def close(self):
        self.keeper._thread.start()
        self.keeper.close()


@pytest.fixture
def worker(tmp_path):
    worker = Worker(tmp_path / "store")
    yield worker
    worker.close()


def same(one, other):
    return one.tobytes() == other.tobytes()


def test_scores_are_of_rows_with_their_histories(worker):
    """Those that the offline pass counts, to the bit, whatever the batches."""
    rows = decoded(300)
    found = np.vstack([worker.score(rows[start : start + 7]) for start in range(0, 300, 7)])
    assert same(found, offline(rows))
    assert worker.count("added_total") == 300


def test_what_is_sent_again_gets_the_same_and_adds_nothing(worker):
    """Between two calls, and in one."""
    rows = decoded(50)
    first = worker.score(rows)
    assert same(worker.score(rows[20:40]), first[20:40])
    more = decoded(60)[50:]
    assert same(worker.score([*more, more[0]])[:-1], offline([*rows, *more])[50:])
    assert worker.count("added_total") == 60


def test_the_future_is_scored_without_and_never_added(worker):
    """Beyond the skew; within it is no future. The rest of its batch is as if it had not come."""
    now = time.time()
    rows = decoded(20)
    ahead, near = decoded(1, seed=1, at=now + 4_000), decoded(1, seed=2, at=now + 100)
    found = worker.score([*rows[:10], *ahead, *rows[10:]])
    assert np.isnan(found[10]).all()
    assert same(np.delete(found, 10, axis=0), offline(rows))
    assert not np.isnan(worker.score(near)[0, 0])
    assert (worker.count("missing_total", reason="future"), worker.count("pending")) == (1, 0)


@pytest.fixture
def stopped(worker, tmp_path):
    """Another process, stopped while it has the store."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path / "store"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "had\n"
    process.send_signal(signal.SIGSTOP)
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_stopped_worker_holds_up_nobody(worker, stopped):
    """The first waits to the deadline while the loop goes on, others not at all; all are added later, in order."""
    rows = decoded(40)

    async def calls():
        turns = 0
        first = asyncio.ensure_future(worker.soon(rows[:10]))
        while not first.done():
            await asyncio.sleep(0)
            turns += 1
        return first.result(), turns

    scored, turns = asyncio.run(calls())
    assert turns > 3
    assert all(np.isnan(np.frombuffer(one.features)).all() for one in scored)
    assert isinstance(worker.online.score(rows[10:20], echo), list)
    assert worker.count("missing_total", reason="deadline") == worker.count("pending") == 20
    stopped.kill()
    stopped.wait()
    worker.keeper._open_and_add()
    assert (worker.count("pending"), worker.count("added_total")) == (0, 20)
    assert same(worker.score(rows[20:]), offline(rows)[20:])


def test_what_is_sent_again_while_it_waits_counts_once(worker, stopped):
    """The second was added; the one that waited finds its id."""
    rows = decoded(20)
    worker.score(rows[:10])
    stopped.kill()
    stopped.wait()
    again = worker.score(rows[:10])
    worker.keeper._open_and_add()
    assert (worker.count("pending"), worker.count("added_total")) == (0, 10)
    assert same(again, offline(rows[:10]))
    assert same(worker.score(rows[10:]), offline(rows)[10:])


def test_what_waits_is_bounded(tmp_path):
    """What is more is lost, and counted."""
    worker = Worker(tmp_path / "store", history_max_pending=15)
    assert worker.keeper.store.gate.take()
    for start in range(0, 40, 10):
        worker.score(decoded(40)[start : start + 10])
    assert (worker.count("pending"), worker.count("dropped_total", reason="full")) == (10, 30)
    worker.keeper.store.gate.give()
    worker.close()
    assert worker.count("pending") == 0


def test_what_cannot_be_added_at_the_end_is_lost_and_counted(tmp_path, monkeypatch):
    """Within seconds."""
    monkeypatch.setattr("serving.history.keeper.DRAIN_SECONDS", 0.1)
    monkeypatch.setattr("serving.history.keeper.TICK_SECONDS", 0.05)
    other = Worker(tmp_path / "store")
    worker = Worker(tmp_path / "store")
    assert other.keeper.store.gate.take()
    worker.score(decoded(10))
    worker.close()
    assert worker.count("dropped_total", reason="shutdown") == 10
    other.keeper.store.gate.give()
    other.close()


def test_a_damaged_store_is_opened_anew(worker, tmp_path):
    """Calls are answered without histories until it is, and added after; what is left goes on."""
    rows = decoded(300)
    worker.score(rows[:100])
    for path in (tmp_path / "store").glob("ids-*"):
        os.truncate(path, 4_096)
    assert np.isnan(worker.score(rows[100:110])).all()
    assert np.isnan(worker.score(rows[110:120])).all()
    worker.keeper._open_and_add()
    assert same(worker.score(rows[120:]), offline(rows)[120:])
    assert worker.count("missing_total", reason="broken") == 20


def test_a_store_that_cannot_be_opened_is_tried_again(tmp_path):
    """A file stands where its folder should be."""
    (tmp_path / "store").write_text("")
    worker = Worker(tmp_path / "store")
    rows = decoded(20)
    assert np.isnan(worker.score(rows[:10])).all()
    (tmp_path / "store").unlink()
    worker.keeper._open_and_add()
    assert same(worker.score(rows[10:]), offline(rows)[10:])
    worker.close()


def test_why_histories_are_missing_is_said(tmp_path, caplog):
    """Not the folder alone: what it means for the transactions."""
    (tmp_path / "store").write_text("")
    worker = Worker(tmp_path / "store")
    assert "cannot be written" in caplog.text
    assert "scored without their histories" in caplog.text
    (tmp_path / "store").unlink()
    worker.close()


def test_an_empty_store_is_said_once(tmp_path, caplog):
    """Nobody warmed it, and every key looks new; one that holds keys is as it should be."""
    for _ in range(2):
        worker = Worker(tmp_path / "store")
        worker.keeper._look_after()
        worker.score(decoded(10))
        worker.keeper._looked -= 10
        worker.keeper._look_after()
        worker.close()
    assert caplog.text.count("history warm") == 1


def test_a_full_store_is_scored_without(tmp_path):
    """Nothing is half added, and the store stays open."""
    worker = Worker(tmp_path / "store", history_max_keys=3)
    assert np.isnan(worker.score(decoded(100))).all()
    assert worker.count("missing_total", reason="full") == 100
    assert (worker.keeper.store is not None, worker.count("pending")) == (True, 0)
    worker.close()


def test_keys_without_room_take_nothing_from_those_that_are_known(tmp_path):
    """Made-up card numbers that fill the store: a known card keeps its history, in one batch with new ones too."""
    rows = decoded(60)
    card = [row.texts[CARD] == rows[0].texts[CARD] for row in rows]
    ours = [row for row, own in zip(rows, card, strict=True) if own]
    worker = Worker(tmp_path / "store", history_max_keys=1)
    worker.score(ours[:1])
    found = worker.score([row for row in rows if row is not ours[0]])
    width = len(layouts(SCHEMA)[0].made)
    expected = offline(ours)[1:, :width]
    assert len(expected) > 0
    assert same(found[card[1:], :width], expected)
    assert np.isnan(found[~np.array(card[1:]), :width]).all()
    assert worker.count("pending") == 0
    worker.close()


def test_what_waits_is_added_to_a_full_store(tmp_path):
    """What waits behind keys without room does not wait for ever."""
    worker = Worker(tmp_path / "store", history_max_keys=1, history_deadline_ms=0)
    gate = Gate(tmp_path / "store")
    with gate.held(1):
        worker.score(decoded(60))
    gate.close()
    assert worker.count("pending") == 60
    worker.keeper._open_and_add()
    assert worker.count("pending") == 0
    worker.close()


def test_the_folder_of_a_store_that_was_deleted_is_begun_anew(worker, tmp_path):
    """Within a few seconds: workers do not go on with files that nobody else sees."""
    worker.score(decoded(10))
    for path in (tmp_path / "store").iterdir():
        path.unlink()
    worker.keeper._look_after()
    worker.keeper._open_and_add()
    assert isinstance(worker.keeper.store, Store)
    assert same(worker.score(decoded(10)), offline(decoded(10)))


def test_old_states_leave_beside_the_calls(tmp_path):
    """Those that are older than the longest window, by the newest transaction and by the clock."""
    worker = Worker(tmp_path / "store", history_skew_seconds=0)
    old, newer = decoded(50, at=histories.START), decoded(50, seed=1, at=histories.START + 400 * 86_400)
    worker.score(old)
    for _ in range(3):
        worker.keeper._look_after()
    kept = {one.texts[CARD] for one in newer}

    def there(rows):
        keys = [bytes.fromhex(one.texts[CARD][3:]) for one in rows if one.texts[CARD] not in kept]
        store = worker.keeper.store
        with store.gate.held(1):
            return [len(state) > 0 for state in store.states(worker.keeper._layouts[0], keys)]

    assert all(there(old))
    worker.score(newer)
    worker.keeper._swept = 0.0
    for _ in range(8):
        worker.keeper._look_after()
    assert not any(there(old))
    worker.close()


def test_a_clock_that_jumps_ahead_forgets_nothing(tmp_path, monkeypatch):
    """States leave by the newest transaction too, which did not jump."""
    worker = Worker(tmp_path / "store")
    rows = decoded(100)
    worker.score(rows[:50])
    with monkeypatch.context() as patch:
        patch.setattr("fraud.history.sweep.time.time", lambda: time.monotonic() + 10**10)
        for _ in range(8):
            worker.keeper._look_after()
    assert same(worker.score(rows[50:]), offline(rows)[50:])
    worker.close()


def test_who_looks_after_the_store_is_said_once_where_it_cannot_be_settled(worker, tmp_path, caplog):
    """And with one line: it is asked again several times a second."""
    worker.score(decoded(10))
    (tmp_path / "store" / "keeper").mkdir()
    for _ in range(3):
        worker.keeper._guarded(worker.keeper._look_after)
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'store' / 'keeper'}: cannot be written (Is a directory)"
    ]
    (tmp_path / "store" / "keeper").rmdir()


def test_a_batch_that_cannot_be_added_holds_up_no_other(worker, monkeypatch):
    """It is counted as dropped, and what waits behind it is added."""
    rows, gate = decoded(6), Gate(worker.keeper.store._folder)
    with gate.held(1):
        worker.score(rows[:2])
        worker.score(rows[2:])
    gate.close()
    add = room.add

    def fails(store, layouts, batch):
        if rows[0].name in batch.names:
            raise ZeroDivisionError
        return add(store, layouts, batch)

    monkeypatch.setattr(room, "add", fails)
    worker.keeper._open_and_add()
    assert (worker.count("dropped_total", reason="error"), worker.count("added_total")) == (2, 4)
    assert worker.count("pending") == 0
