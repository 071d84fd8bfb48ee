"""Histories of files: what is built of them is what their rows give one at a time."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from fraud.errors import DataError
from fraud.remote.sources import Source
from fraud.replay import building, features_file, keyed, records, spill, state_file
from fraud.schema import of_document
from tests.fraud.replay.cards import DOCUMENT, HASHER, SCHEMA, gathered, one_at_a_time, transactions


def frame(count=600, seed=0):
    """Rows as a file holds them, in time order."""
    rows, keys, frauds = transactions(count, seed)
    columns = {"id": [f"t{number}" for number in range(count)], "at": rows[:, 0], "amount": rows[:, 1]}
    return pd.DataFrame({**columns, **keys, "fraud": frauds})


def told(table):
    """A table as ``one_at_a_time`` takes it."""
    cells = {name: [None if pd.isna(key) else key for key in table[name]] for name in ("card", "shop")}
    keys = {name: np.array(own, dtype=object) for name, own in cells.items()}
    return table[["at", "amount"]].to_numpy(float), keys, table["fraud"].to_numpy()


def save(folder, *tables):
    """Files of them, one CSV and the others Parquet."""
    found = []
    for number, table in enumerate(tables):
        path = folder / f"{number}.{'csv' if number == 1 else 'parquet'}"
        table.to_csv(path, index=False) if number == 1 else table.to_parquet(path, index=False)
        found.append(Source(str(path)))
    return found


@pytest.fixture
def small(monkeypatch):
    """Everything in many parts, as it is of large files."""
    monkeypatch.setattr(building, "CHUNK_ROWS", 50)
    monkeypatch.setattr(building, "parts_of", lambda _: 7)
    monkeypatch.setattr(spill, "WAITING_BYTES", 3_000)
    monkeypatch.setattr(features_file, "_ROWS", 64)


def built(tmp_path, *tables, schema=SCHEMA, **options):
    """What was built, the states, and the features."""
    target, out = tmp_path / "states.parquet", tmp_path / "features.parquet"
    done = building.build(save(tmp_path, *tables), schema, HASHER, target, features=out, **options)
    states = gathered(state_file.StateFile(target, schema, HASHER.fingerprint).parts())
    return done, states, pyarrow.parquet.read_table(out).to_pandas()


@pytest.mark.parametrize("threads", [1, 2])
def test_it_is_its_rows_one_at_a_time(tmp_path, small, threads):
    """States and features, to the bit, of three files together."""
    table = frame()
    done, states, features = built(tmp_path, table[:200], table[200:350], table[350:], threads=threads)
    expected, ends = one_at_a_time(*told(table))
    assert states == ends
    np.testing.assert_array_equal(features[list(SCHEMA.histories)].to_numpy(), expected)
    assert features["id"].tolist() == table["id"].tolist()
    assert (done.facts.rows, done.duplicates, done.keys) == (600, 0, sum(map(len, ends)))
    assert done.facts.as_of_us == int(table["at"].max() * 1e6)


def test_the_order_of_the_input_is_no_matter(tmp_path, small):
    """Shuffled rows of different times give the same states, and each row its own features."""
    table = frame()
    table["at"] += np.arange(600) / 1024  # no two at one time
    shuffled = table.sample(frac=1, random_state=1)
    _, states, features = built(tmp_path, shuffled[:250], shuffled[250:])
    expected, ends = one_at_a_time(*told(table))
    assert states == ends
    assert features["id"].tolist() == shuffled["id"].tolist()
    in_order = features.set_index("id").loc[table["id"]]
    np.testing.assert_array_equal(in_order[list(SCHEMA.histories)].to_numpy(), expected)


def test_of_one_id_the_last_given_holds(tmp_path, small):
    """In the same file or in another one; a row that is equal but for its id is another transaction."""
    table = frame(300)
    wrong = table[100:150].assign(amount=1.0)
    alike = table[:1].assign(id="other")
    done, states, features = built(tmp_path, wrong, pd.concat([table[:120], alike]), table[100:])
    assert done.duplicates == 70
    assert done.facts.rows == 301
    assert features["id"].is_unique
    assert states == one_at_a_time(*told(pd.concat([table[:1], alike, table[1:]])))[1]


def test_rows_without_an_id_are_never_duplicates(tmp_path, small):
    table = frame(100).drop(columns="id")
    done, _, features = built(tmp_path, table, table)
    assert (done.facts.rows, done.duplicates) == (200, 0)
    assert features["id"].isna().all()


def test_a_key_that_may_be_missing_may_be_in_no_row(tmp_path):
    """Its history is missing then."""
    table = frame(50).drop(columns="card")
    _, states, features = built(tmp_path, table)
    assert states[0] == {}
    assert features[[name for name in SCHEMA.histories if name.startswith("card")]].isna().all(axis=None)
    assert states[1] == one_at_a_time(*told(table.assign(card=None)))[1][1]


def test_keys_that_begin_alike_are_two(tmp_path):
    high, low = np.array([5, 5, 9, 5], dtype="<u8"), np.array([1, 2, 1, 1], dtype="<u8")
    slots, keys = keyed.Keyed.of_halves(high, low)
    assert slots.tolist() == [0, 1, 2, 0]
    assert keys.view("<u8").tolist() == [[5, 1], [5, 2], [9, 1]]


def test_plain_keys_are_hashed(tmp_path):
    """A file of plain keys and one of hashes are of the same cards."""
    table = frame(100).assign(card="4111 1111", shop=7)
    hashed = table.assign(card=HASHER("4111 1111"), shop=HASHER("7"))
    one = built(tmp_path, table)[1]
    assert one == built(tmp_path, hashed)[1]
    assert [len(own) for own in one] == [1, 1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"drop": "shop"}, "no column shop"),
        ({"drop": "fraud"}, "fraud"),
        ({"drop": "at"}, "at"),
        ({"amount": "much"}, "amount"),
    ],
)
def test_a_bad_file_is_named_and_nothing_is_left(tmp_path, change, says):
    table = frame(100)
    table = table.drop(columns=change["drop"]) if "drop" in change else table.assign(**change)
    sources = save(tmp_path, frame(50), frame(50), table)
    there = sorted(tmp_path.iterdir())
    with pytest.raises(DataError, match=says) as refused:
        building.build(sources, SCHEMA, HASHER, tmp_path / "s.parquet", features=tmp_path / "f.parquet")
    assert str(refused.value).startswith(sources[2].name)
    assert sorted(tmp_path.iterdir()) == there


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        building.build([Source(str(tmp_path / "x.csv"))], SCHEMA, HASHER, tmp_path / "s.parquet")


def test_without_histories_there_is_nothing_to_build(tmp_path):
    plain = of_document({**DOCUMENT, "history": []}, "tests")
    with pytest.raises(DataError, match="declares no"):
        building.build(save(tmp_path, frame(10)), plain, HASHER, tmp_path / "s.parquet")


def test_rows_on_disk_go_with_the_process(tmp_path):
    """Killed while its records are on disk, a build leaves no file of them: they never had a name."""
    code = f"""
import numpy as np, sys, time
from pathlib import Path
from fraud.replay import records, spill
from fraud.replay.records import RowRecords
from tests.fraud.replay.cards import SCHEMA
spill.WAITING_BYTES = 1
one = RowRecords.begun(SCHEMA, Path({str(tmp_path)!r}), 4)
kind = one.ids.kind
one.ids.add(np.zeros(1000, dtype=int), np.zeros(1000, dtype=kind))
print("there", flush=True)
time.sleep(60)
"""
    root = Path(__file__).parents[3]
    child = subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "there\n"
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert [*tmp_path.iterdir()] == []


def test_ids_that_meet_are_looked_for_in_parts():
    assert records.parts_of(0) == 1
    assert records.parts_of(2**60) == records.MOST_PARTS
