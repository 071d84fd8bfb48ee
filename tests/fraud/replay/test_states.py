"""States of streams, and files of states."""

from itertools import pairwise

import numpy as np
import pytest
from pyarrow import parquet

from fraud.errors import ModelError
from fraud.history.layout import FURTHEST
from fraud.replay import state_file, states
from fraud.replay.states import States
from fraud.schema import of_document
from tests.fraud.replay.cards import DOCUMENT, HASHER, SCHEMA, gathered, one_at_a_time, transactions


def part(rows, keys, frauds, low, high):
    return rows[low:high], {name: own[low:high] for name, own in keys.items()}, frauds[low:high]


@pytest.fixture
def built(tmp_path):
    """A file of the states of some rows, and the rows."""
    told = transactions(500)
    kept = States(SCHEMA)
    kept.advance(*told)
    path = tmp_path / "states.parquet"
    with state_file.writing(path, SCHEMA, HASHER.fingerprint) as file:
        for given in kept.given():
            file.put(*given)
        file.saw(len(told[0]), int(told[0][-1, 0] * 1e6))
    return path, told


def test_a_stream_is_its_rows_one_at_a_time(monkeypatch):
    """In parts of whatever size, while the states grow."""
    monkeypatch.setattr(states, "_FIRST", 2)
    told = transactions(500)
    kept, bounds = States(SCHEMA), [0, 1, 2, 10, 10, 300, 500]
    found = [kept.advance(*part(*told, low, high)) for low, high in pairwise(bounds)]
    features, expected = one_at_a_time(*told)
    np.testing.assert_array_equal(np.vstack(found), features)
    assert gathered(kept.given()) == expected


def test_a_file_gives_back_its_states(built):
    path, told = built
    file = state_file.StateFile(path, SCHEMA, HASHER.fingerprint)
    assert gathered(file.parts()) == one_at_a_time(*told)[1]
    assert gathered(file.states(SCHEMA).given()) == gathered(file.parts())
    assert file.facts.rows == 500
    assert file.facts.as_of_us == int(told[0][-1, 0] * 1e6)
    assert file.facts.as_of.startswith("2018-07-1")


def test_only_its_owner_reads_it(built):
    assert built[0].stat().st_mode & 0o777 == 0o600


def test_states_of_another_layout_are_refused(built):
    document = {**DOCUMENT, "history": [DOCUMENT["history"][0] | {"buckets": 12}, DOCUMENT["history"][1]]}
    with pytest.raises(ModelError, match=r"of other .*history build"):
        state_file.StateFile(built[0], of_document(document, "test"), HASHER.fingerprint)


def test_a_time_that_no_store_can_hold_is_refused(built):
    """The file is not one that was written by us."""
    path, _ = built
    document = state_file.read_facts(path).model_dump_json().replace('"as_of_us":', '"as_of_us":9999')
    table = parquet.read_table(path).replace_schema_metadata({"fraud_history": document})
    parquet.write_table(table, path)
    assert int(document.split('"as_of_us":')[1].split(",")[0]) > FURTHEST
    with pytest.raises(ModelError, match="is no whole file of histories"):
        state_file.read_facts(path)


def test_states_of_another_secret_are_refused(built):
    with pytest.raises(ModelError, match="hashed with the secret of fingerprint"):
        state_file.StateFile(built[0], SCHEMA, "0" * 16)


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_changed_byte_is_found(built, where):
    path, _ = built
    content = bytearray(path.read_bytes())
    content[int(len(content) * where)] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ModelError, match="no whole file of histories"):
        gathered(state_file.StateFile(path, SCHEMA, HASHER.fingerprint).parts())


def test_a_file_that_is_cut_is_found(built):
    path, _ = built
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="history build"):
        state_file.read_facts(path)


def test_a_key_is_erased(built):
    """The others stay as they were, and what is said of them."""
    path, _ = built
    before, facts = gathered(state_file.StateFile(path, SCHEMA, None).parts()), state_file.read_facts(path)
    gone = next(iter(before[1]))
    assert state_file.without(path, {gone}) == 1
    after = gathered(state_file.StateFile(path, SCHEMA, None).parts())
    assert after == [before[0], {key: state for key, state in before[1].items() if key != gone}]
    assert state_file.read_facts(path) == facts
    assert gone not in path.read_bytes()
    assert state_file.without(path, {gone}) == 0


def test_a_build_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), state_file.writing(tmp_path / "x.parquet", SCHEMA, "0" * 16):
        raise KeyboardInterrupt
    assert [*tmp_path.iterdir()] == []
