"""Labels from a real database to a real store: each once, whenever it comes, by the one worker that leads."""

import os
import time

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from fraud.errors import FraudError
from fraud.history.labels import OVERLAP_SECONDS
from fraud.history.layout import layouts
from fraud.replay.states import States
from fraud.schema import parse
from monitoring import database
from monitoring.history_metrics import LABELS as OUTCOMES
from monitoring.history_metrics import HistoryMetrics
from monitoring.storage.labelled import Labelled
from monitoring.storage.sent import HASH_LENGTH, packed
from monitoring.storage.tables import LoggedPrediction, Origin
from serving.history import labels
from serving.history.labels import LabelsToStore
from tests import histories
from tests.serving.history.test_online import HASHER, SCHEMA, SHOP, Worker, decoded
from training.histories import online

LAYOUTS = layouts(SCHEMA)
ROWS = 120


@pytest.fixture
def engine(tmp_path):
    made = database.connect(f"sqlite:///{tmp_path / 'fraud.sqlite'}")
    database.prepare(made)
    yield made
    made.dispose()


class Leading:
    """A worker that leads, the labels of its store, and the database that they come from."""

    def __init__(self, folder, engine):
        self.worker, self.engine, self.registry = Worker(folder), engine, CollectorRegistry()
        self.keeper = self.worker.keeper
        self.keeper._look_after()
        self.labels = self.made()

    def made(self):
        source, metrics = Labelled(self.engine, lambda: None), HistoryMetrics(self.registry)
        return LabelsToStore(LAYOUTS, "at", HASHER.fingerprint, source, self.keeper, metrics)

    def again(self):
        """Another process in its place: what the first remembered is gone."""
        self.registry = CollectorRegistry()
        self.labels = self.made()

    def log(self, rows, schema=SCHEMA, fingerprint=HASHER.fingerprint, at=None):
        """As the service logs what it scored."""
        origin, at = Origin("v", schema.hash[:HASH_LENGTH], 0.5, None, fingerprint), at or time.time()
        features = bytes(4 * len(schema.features))
        made = [
            LoggedPrediction(
                origin.number, at + place, one.name, None, 0.5, False, 1.0, packed(one.row, features, one.texts)
            )
            for place, one in enumerate(rows)
        ]
        database.insert(self.engine, made, {origin.number: origin}, {schema.hash[:HASH_LENGTH]: schema})

    def label(self, rows, frauds, at=None):
        names = [(one.name, bool(fraud)) for one, fraud in zip(rows, frauds, strict=True)]
        database.put_labels(self.engine, names, "feedback", at or time.time())

    def turn(self):
        """What was counted since the last one."""
        before = self.counts()
        self.labels.turn()
        return {
            name: count - before.get(name, 0) for name, count in self.counts().items() if count > before.get(name, 0)
        }

    def counts(self):
        found = {
            name: self.registry.get_sample_value("fraud_history_labels_total", {"outcome": name}) for name in OUTCOMES
        }
        return {name: int(count) for name, count in found.items() if count}

    def states(self, rows):
        keys = [bytes.fromhex(key[3:]) for key in dict.fromkeys(one.texts[SHOP] for one in rows) if key]
        with self.keeper.store.gate.held(1):
            return self.keeper.store.states(LAYOUTS[1], keys)


@pytest.fixture
def leading(tmp_path, engine, monkeypatch):
    monkeypatch.setattr(labels, "MOST_SHARE", 1e9)  # each turn reads again
    made = Leading(tmp_path / "store", engine)
    yield made
    made.worker.close()


def frauds_of(rows, seed=0):
    return np.random.default_rng(seed).random(len(rows)) < 0.3


def offline(rows, frauds):
    """States of the shops as the offline pass has them, with labels."""
    states = States(SCHEMA)
    values = np.frombuffer(b"".join(one.row for one in rows)).reshape(len(rows), -1)
    states.advance(
        values, {"card_id": [one.texts[1] for one in rows], "shop_id": [one.texts[SHOP] for one in rows]}, frauds
    )
    keys = [bytes.fromhex(key[3:]) for key in dict.fromkeys(one.texts[SHOP] for one in rows) if key]
    return [bytes(one) for one in states.of(1, np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 16))]


def recent(rows=ROWS, days=5):
    """Payments of the last days, in time order."""
    now = time.time()
    found = decoded(rows)
    place = SCHEMA.inputs.index("at")
    for number, one in enumerate(found):
        row = np.frombuffer(one.row).copy()
        row[place] = now - days * 86_400 * (1 - number / rows)
        found[number] = one._replace(row=row.tobytes())
    return found


def test_labels_reach_the_store_once(leading):
    """All of them, to the bit, also where many share one time and fill several pages; again they change nothing."""
    rows = recent()
    frauds = frauds_of(rows)
    leading.worker.score(rows)
    leading.log(rows)
    leading.label(rows, frauds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels, "PAGE", 7)
        assert leading.turn() == {"applied": with_shop(rows, frauds)}
        assert leading.states(rows) == offline(rows, frauds)
        assert leading.turn() == {}
        leading.again()
        assert leading.turn() == {}
    assert leading.states(rows) == offline(rows, frauds)


def with_shop(rows, frauds):
    """How many frauds have a key to count them at."""
    return sum(bool(fraud and one.texts[SHOP]) for one, fraud in zip(rows, frauds, strict=True))


def test_a_label_that_is_reversed_is_taken_back(leading):
    """Of one that stays what it is nothing changes, also when it is told again."""
    rows = recent()
    frauds = frauds_of(rows)
    leading.worker.score(rows)
    leading.log(rows)
    leading.label(rows, frauds)
    leading.turn()
    known = frauds.copy()
    known[::2] = False
    leading.label(rows, known)
    taken = with_shop(rows, frauds) - with_shop(rows, known)
    assert leading.turn() == {"taken_back": taken}
    assert leading.states(rows) == offline(rows, known)


def test_what_is_in_the_database_later_than_its_time_is_found(leading):
    """A file that took its time, within the overlap; also a transaction that is logged, or added, after its label."""
    rows = recent()
    frauds = np.ones(len(rows), bool)
    first, second, third = np.split(np.arange(len(rows)), 3)
    leading.worker.score(rows[: third[0]])
    leading.log([rows[row] for row in (*first, *third)])
    leading.label([rows[row] for row in third], frauds[third])
    assert "unknown" in leading.turn()
    leading.label([rows[row] for row in first], frauds[first], at=time.time() - OVERLAP_SECONDS / 2)
    leading.label([rows[row] for row in second], frauds[second])
    assert set(leading.turn()) == {"applied", "unknown"}
    assert leading.turn() == {}
    leading.log([rows[row] for row in second])
    leading.worker.score(rows[third[0] :])
    assert set(leading.turn()) == {"applied"}
    assert leading.states(rows) == offline(rows, frauds)


def test_of_what_was_logged_twice_the_first_counts(leading):
    """What came later under the same id added nothing. One whose keys another secret hashed says nothing."""
    rows = recent(40)
    shopped = next(row for row, one in enumerate(rows) if one.texts[SHOP])
    one, other = rows[shopped], next(two for two in rows if two.texts[SHOP] not in (None, rows[shopped].texts[SHOP]))
    leading.worker.score(rows)
    now = time.time()
    leading.log([other._replace(name=one.name)], at=now - 5)
    leading.log([one], at=now - 10)
    leading.log([other._replace(name=one.name)], at=now - 20, fingerprint="theirs")
    leading.label([one], [True])
    assert leading.turn() == {"applied": 1}
    frauds = np.arange(len(rows)) == shopped
    assert leading.states(rows) == offline(rows, frauds)


def test_rows_of_another_schema_are_read_or_left(leading):
    """Read where the key and the time are the same columns."""
    rows = [one for one in recent(20) if one.texts[SHOP]]
    leading.worker.score(rows)
    drafted = parse(
        histories.SCHEMA.replace("label_delay", "buckets = 6\nlabel_delay").replace("\nbuckets = 12", ""), "a"
    )
    renamed = parse(histories.SCHEMA.replace("shop_id", "store_id"), "b")
    leading.log(rows[:5], schema=drafted)
    leading.log(rows[5:8], schema=renamed)
    leading.label(rows[:8], [True] * 8)
    assert leading.turn() == {"applied": 5, "other_schema": 3}
    assert leading.turn() == {}


def test_how_late_labels_are_is_measured(leading):
    """From the time of the transaction, also where no window reaches back to it; those after the label delay apart."""
    rows = [one for one in recent(60, days=4) if one.texts[SHOP]]
    old = [one for one in decoded(30, seed=5) if one.texts[SHOP]][:3]  # of 2023: no window reaches back
    keys = [rows[place].texts for place in range(3)]
    old = [one._replace(texts=own) for one, own in zip(old, keys, strict=True)]
    leading.worker.score([*old, *rows])
    leading.log([*old, *rows])
    leading.label([*old, *rows], [True] * (len(rows) + 3))
    assert leading.turn() == {"applied": len(rows), "late": 3}
    now, at = time.time(), SCHEMA.inputs.index("at")
    later = sum(now - float(np.frombuffer(one.row)[at]) > 2 * 86_400 for one in rows)
    value = leading.registry.get_sample_value
    assert value("fraud_history_labels_overdue_total") == later + 3
    assert value("fraud_history_label_seconds_count") == len(rows) + 3
    assert value("fraud_history_label_seconds_bucket", {"le": str(3 * 86_400.0)}) < len(rows)


def test_keys_that_are_put_into_the_store_get_their_labels(leading):
    """By ``history warm`` beside the service: it notes from when on, and reading begins there anew."""
    rows = recent()
    frauds = frauds_of(rows)
    leading.log(rows)
    leading.label(rows, frauds)
    assert set(leading.turn()) == {"unknown"}
    before = States(SCHEMA)
    values = np.frombuffer(b"".join(one.row for one in rows)).reshape(len(rows), -1)
    before.advance(values, {"card_id": [one.texts[1] for one in rows], "shop_id": [one.texts[SHOP] for one in rows]})
    store = leading.keeper.store
    with store.gate.held(1):
        for number, keys, states in before.given():
            store.put(LAYOUTS[number], [*map(bytes, keys)], [*map(bytes, states)], int(time.time() * 1e6))
    online.hold_labels(store, dict.fromkeys(store.labels(), time.time() - 86_400))
    assert leading.turn() == {"applied": with_shop(rows, frauds)}
    assert leading.states(rows) == offline(rows, frauds)
    leading.turn()
    assert [one.until for one in store.labels().values()] == [pytest.approx(time.time(), abs=60)]


def test_who_does_not_lead_does_nothing(leading, tmp_path):
    """One worker for all: the other takes over when it is gone."""
    rows = recent()
    leading.worker.score(rows)
    leading.log(rows)
    leading.label(rows, [True] * len(rows))
    other = Leading(tmp_path / "store", leading.engine)
    assert other.turn() == {}
    opening = leading.keeper.store._opening
    os.close(opening._led)
    opening._led, leading.keeper.leads = None, False
    other.keeper._looked = 0.0
    other.keeper._look_after()
    assert leading.turn() == {}
    assert other.turn() == {"applied": with_shop(rows, [True] * len(rows))}
    other.worker.close()


def test_a_database_that_is_away_is_said_once_a_minute(leading, tmp_path, caplog):
    """And tried again: labels are applied when it is back."""
    rows = recent()
    leading.worker.score(rows)
    leading.log(rows)
    leading.label(rows, [True] * len(rows))
    (tmp_path / "gone").touch()
    away = database.connect(f"sqlite:///{tmp_path}/gone/fraud.sqlite")
    source, leading.labels._source = leading.labels._source, Labelled(away, lambda: None)
    with pytest.raises(FraudError):
        leading.labels.turn()
    for _ in range(3):
        leading.labels.try_turn()
    assert [one.message.split(":")[0] for one in caplog.records] == ["labels wait to be counted in histories"]
    leading.labels._source = source
    leading.labels.try_turn()
    assert leading.counts() == {"applied": with_shop(rows, [True] * len(rows))}


def test_a_store_that_is_begun_anew_gets_its_labels_again(leading):
    """Its files were deleted: what it adds since then is labelled."""
    rows = recent()
    frauds = frauds_of(rows)
    leading.worker.score(rows[:60])
    leading.log(rows)
    leading.label(rows, frauds)
    leading.turn()
    for path in leading.keeper.store._folder.iterdir():
        path.unlink()
    leading.keeper._looked = 0.0
    leading.keeper._look_after()
    leading.keeper._open()
    leading.keeper._looked = 0.0
    leading.keeper._look_after()
    leading.worker.score(rows)
    leading.turn()
    assert leading.states(rows) == offline(rows, frauds)


def test_what_takes_long_is_read_again_more_seldom(leading, monkeypatch):
    """What is new is read each time."""
    monkeypatch.setattr(labels, "MOST_SHARE", 1e-9)
    rows = [one for one in recent(40) if one.texts[SHOP]]
    leading.worker.score(rows)
    leading.log(rows)
    leading.label(rows[:10], [True] * 10)
    assert leading.turn() == {"applied": 10}
    leading.label(rows[10:20], [True] * 10, at=time.time() - OVERLAP_SECONDS / 2)
    leading.label(rows[20:], [True] * len(rows[20:]))
    assert leading.turn() == {"applied": len(rows[20:])}
    monkeypatch.setattr(leading.labels, "_again_at", 0.0)
    assert leading.turn() == {"applied": 10}
