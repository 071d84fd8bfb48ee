"""An online store begun from saved states, whatever these say."""

import time

import numpy as np
import pytest

from fraud import schema
from fraud.errors import ModelError
from fraud.history.labels import Mark
from fraud.history.layout import layouts
from fraud.history.store import Limits, Store
from fraud.replay.state_file import Facts, StateFile, writing
from tests import histories
from training.histories import forget, online

SCHEMA = schema.parse(histories.SCHEMA, "payments.toml")
LAYOUTS = layouts(SCHEMA)
KEY = bytes(range(16))
DAY = 86_400


@pytest.fixture
def store(tmp_path):
    store = Store.open(f"file://{tmp_path / 'store'}", LAYOUTS, "ours", Limits(100, 100))
    yield store
    store.close()


def saved(path, as_of, latest, keys=1):
    """A file of one key's states, ``keys`` times; times in seconds."""
    states = np.zeros((keys, LAYOUTS[0].size), np.uint8)
    states[:, :16].view("<i8")[:] = 1, int(latest * 1e6)
    with writing(path, SCHEMA, "ours") as writer:
        writer.put(0, np.frombuffer(KEY * keys, np.uint8).reshape(keys, 16), states)
        writer.saw(keys, int(as_of * 1e6))
    return StateFile(path, SCHEMA, "ours")


@pytest.mark.parametrize("days", [(2, 0), (0, 2), (0, 10**8)])
def test_states_of_the_future_are_refused(store, tmp_path, days):
    """By the file's word or a state's: nothing would leave the store any more, and nothing change the key."""
    now = time.time()
    as_of, latest = (now + DAY * own for own in days)
    with pytest.raises(ModelError, match="holds transactions of the future"):
        online.warm(store, saved(tmp_path / "states.parquet", as_of, latest))
    assert online.known(store, LAYOUTS, KEY) == []


def test_a_key_that_is_there_twice_is_put_once(store, tmp_path):
    """Who forgets it forgets all of it."""
    now = time.time()
    warmed = online.warm(store, saved(tmp_path / "states.parquet", now, now, keys=3))
    assert warmed.added == 1
    assert online.forget(store, [KEY]) == 1
    assert online.known(store, LAYOUTS, KEY) == []


def test_a_key_that_is_forgotten_stands_in_no_file(store, tmp_path):
    """Also not in the journal, which holds what was changed last."""
    keys = [*(bytes([number]) * 16 for number in range(1, 20)), KEY]
    with store.gate.held(1):
        store.put(LAYOUTS[0], keys, [bytes(LAYOUTS[0].size)] * len(keys), 1)
    files = [path for path in (tmp_path / "store").iterdir() if path.name != "facts.json"]
    assert any(KEY in path.read_bytes() for path in files)
    assert online.forget(store, [KEY]) == 1
    assert not any(KEY in path.read_bytes() for path in files)


def test_files_that_were_set_aside_are_named(tmp_path, monkeypatch):
    """They may hold keys that are to be forgotten."""
    monkeypatch.setenv("FRAUD_HISTORY_URL", f"file://{tmp_path}")
    assert not any("set aside" in line for line in forget.left(0, {}))
    (tmp_path / "states-1.damaged-20200101T000000Z").touch()
    assert any("delete states-1.damaged-20200101T000000Z" in line for line in forget.left(0, {}))


def test_a_time_that_no_calendar_has_is_damage(tmp_path, monkeypatch):
    """In one line, and not where it is put in words."""
    document = Facts.model_dump_json
    monkeypatch.setattr(Facts, "model_dump_json", lambda facts: document(facts.model_copy(update={"as_of_us": 2**62})))
    with pytest.raises(ModelError, match="is no whole file of histories"):
        saved(tmp_path / "states.parquet", 1, 1)


def test_labels_count_from_when_the_states_were_built(store, tmp_path):
    """Those of before are in them, and are not applied again; the service is brought back to that time."""
    before = time.time()
    first = saved(tmp_path / "states.parquet", before, before)
    assert before <= first.facts.built_at <= time.time()
    online.warm(store, first)
    [(own, mark)] = store.labels().items()
    assert mark.start == pytest.approx(first.facts.built_at)
    store.note_labels({own: mark.moved(before + 1000)})
    online.warm(store, first)
    assert store.labels() == {own: mark}
    store.note_labels({own: Mark(before + 2000, before + 1000)})
    online.warm(store, first)
    assert store.labels() == {own: Mark(before + 1000, before + 1000)}


def test_states_of_before_say_no_time_and_their_file_does(store, tmp_path):
    """Which is no earlier than when they were built: nothing counts twice."""
    path = tmp_path / "states.parquet"
    file = saved(path, time.time(), time.time())
    file.facts = Facts.model_validate_json(file.facts.model_dump_json(exclude={"built_at"}))
    online.warm(store, file)
    [mark] = store.labels().values()
    assert mark.start == pytest.approx(path.stat().st_mtime)
