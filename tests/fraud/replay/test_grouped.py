"""Histories of rows in memory are those of the rows one at a time."""

import numpy as np
import pytest

from fraud.errors import DataError
from fraud.replay import grouped
from tests.fraud.replay.cards import SCHEMA, gathered, one_at_a_time, transactions


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("group", [1, 7, 4_096])
def test_they_are_those_of_each_row_by_itself(threads, group, monkeypatch):
    """Features and states, to the bit, in whatever groups of keys and on however many threads."""
    monkeypatch.setattr(grouped, "_GROUP_KEYS", group)
    rows, keys, frauds = transactions(700)
    parts = []
    found = grouped.features_of(rows, keys, SCHEMA, frauds, threads=threads, sink=lambda *part: parts.append(part))
    features, states = one_at_a_time(rows, keys, frauds)
    np.testing.assert_array_equal(found, features)
    assert gathered(parts) == states


def test_they_go_on_from_states():
    """Half of the rows, and the other half from the states of the first, are all of them."""
    rows, keys, frauds = transactions(600)
    whole = grouped.features_of(rows, keys, SCHEMA, frauds)
    parts = []
    half = {name: own[:300] for name, own in keys.items()}
    grouped.features_of(rows[:300], half, SCHEMA, frauds[:300], sink=lambda *part: parts.append(part))
    kept = gathered(parts)

    def begin(number, own):
        size = len(next(iter(kept[number].values())))
        states = [kept[number].get(bytes(key), bytes(size)) for key in own]
        return np.frombuffer(b"".join(states), dtype=np.uint8).reshape(-1, size).copy()

    rest = {name: own[300:] for name, own in keys.items()}
    found = grouped.features_of(rows[300:], rest, SCHEMA, frauds[300:], begin=begin)
    np.testing.assert_array_equal(found, whole[300:])


def test_a_row_without_a_key_has_no_history():
    rows, keys, frauds = transactions(200)
    found = grouped.features_of(rows, keys, SCHEMA, frauds)
    unknown = np.array([key is None for key in keys["card"]])
    assert unknown.any()
    assert np.isnan(found[unknown, :5]).all()
    assert not np.isnan(found[:, 5:]).any()


def test_no_rows_have_no_histories():
    rows, keys, frauds = transactions(0)
    assert grouped.features_of(rows, keys, SCHEMA, frauds).shape == (0, len(SCHEMA.histories))


def test_a_key_in_plain_is_refused():
    """And not repeated: it may be the number of a card."""
    rows, keys, frauds = transactions(5)
    keys["shop"][2] = "4111111111111111"
    with pytest.raises(DataError, match="FRAUD_KEY_SECRET") as refused:
        grouped.features_of(rows, keys, SCHEMA, frauds)
    assert "4111" not in str(refused.value)
