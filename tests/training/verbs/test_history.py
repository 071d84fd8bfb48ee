"""``python -m training history``: what is built, shown and forgotten, as a person sees it."""

import json

import numpy as np
import pandas as pd
import pytest

from fraud import command, home
from fraud.bulk.one_file import score_file
from fraud.history.layout import layouts
from fraud.history.store import Store
from fraud.replay import state_file
from tests.fraud.bulk.conftest import cards  # noqa: F401 - a fixture
from tests.fraud.conftest import facts, frame, model, rows  # noqa: F401 - fixtures of it
from tests.fraud.replay.cards import HASHER, SCHEMA, gathered, one_at_a_time, transactions
from training.__main__ import parser

ROWS, KEYS, FRAUDS = transactions(300, seed=5)


@pytest.fixture
def said(capsys):
    """Runs a verb; its exit code, its document, and its words."""

    def run(*arguments):
        code = command.main(parser(), ["history", *map(str, arguments)])
        done = capsys.readouterr()
        return code, json.loads(done.out) if done.out else None, done.err

    return run


@pytest.fixture
def version(cards):  # noqa: F811
    yield cards.model_version
    home.history_path(cards.model_version).unlink(missing_ok=True)


@pytest.fixture
def data(tmp_path):
    columns = {"id": [f"t{number}" for number in range(300)], "at": ROWS[:, 0], "amount": ROWS[:, 1]}
    pd.DataFrame({**columns, **KEYS, "fraud": FRAUDS}).to_csv(tmp_path / "data.csv", index=False)
    return tmp_path / "data.csv"


def test_a_build_is_saved_beside_the_model(said, data, version, tmp_path):
    """As of the last row, and the features of each row where they are asked for."""
    code, document, words = said("build", "--model", version, data, "--features", tmp_path / "f.parquet")
    assert code == 0, words
    expected, states = one_at_a_time(ROWS, KEYS, FRAUDS)
    path = home.history_path(version)
    assert document["state"] == str(path)
    assert (document["rows"], document["duplicates_left_out"], document["published"]) == (300, 0, None)
    assert gathered(state_file.StateFile(path, SCHEMA, HASHER.fingerprint).parts()) == states
    found = pd.read_parquet(tmp_path / "f.parquet")
    np.testing.assert_array_equal(found[list(SCHEMA.histories)].to_numpy(), expected)
    assert "300 rows" in words
    answer = score_file(data, tmp_path / "scores.csv", f"fraud_detector:{version}")
    assert answer["history"] == f"the state of {version} as of {document['as_of']}"


def test_what_is_known_of_a_key(said, data, version):
    """In words and as a document; the plain key and its hash are the same."""
    said("build", "--model", version, data)
    code, document, words = said("show", "card 7", "--model", version)
    assert code == 0
    assert said("show", HASHER("card 7"), "--model", version)[1] == document
    [known] = document["histories"]
    own = KEYS["card"] == HASHER("card 7")
    assert known["key_column"] == "card"
    day = known["windows"]["1d"]
    buckets = ROWS[:, 0] // 3600
    inside = own & (buckets >= ROWS[-1, 0] // 3600 - 24)
    assert day["count"] == inside.sum()
    assert day["sum:amount"] == pytest.approx(np.nansum(ROWS[inside, 1]))
    assert "card, latest 2018-" in words


def test_of_labels_it_says_what_was_known(said, data, version):
    said("build", "--model", version, data)
    [known] = said("show", "shop 3", "--model", version)[1]["histories"]
    width = 7 * 86_400 / 12
    end = (ROWS[-1, 0] - 86_400) // width
    buckets = ROWS[:, 0] // width
    inside = (KEYS["shop"] == HASHER("shop 3")) & (buckets >= end - 12) & (buckets < end)
    week = known["windows"]["7d"]
    assert (week["known_count"], week["known_frauds"]) == (inside.sum(), FRAUDS[inside].sum())


def test_nothing_is_known_of_a_stranger(said, data, version):
    said("build", "--model", version, data)
    code, document, words = said("show", "nobody", "--model", version)
    assert (code, document["histories"]) == (0, [])
    assert "nothing is known of this key" in words


def test_a_key_is_forgotten(said, data, version):
    """By plain key or by hash; the others stay, and forgetting again finds nothing."""
    said("build", "--model", version, data)
    code, document, words = said("forget", "card 7", HASHER("shop 3"))
    assert code == 0
    assert document["local"][version] == document["states_gone"] == 2
    assert document["published"] is None
    assert "FRAUD_S3_URI is not set" in words
    assert said("show", "card 7", "--model", version)[1]["histories"] == []
    assert len(said("show", "card 8", "--model", version)[1]["histories"]) == 1
    assert "the prediction log" in words
    _, document, words = said("forget", "card 7")
    assert document["states_gone"] == 0
    assert "nothing was known of these keys" in words


@pytest.fixture
def online(tmp_path, monkeypatch):
    """The address of an online store that nobody has begun."""
    monkeypatch.setenv("FRAUD_HISTORY_URL", f"file://{tmp_path}/store")
    return f"file://{tmp_path}/store"


def test_a_store_is_warmed_once(said, data, version, online):
    """It gets every key; done again, nothing changes. What it knows of a key is what the saved state knows."""
    built = said("build", "--model", version, data)[1]
    code, document, words = said("warm", "--model", version)
    assert code == 0, words
    assert (document["keys_added"], document["keys_there_already"]) == (built["keys"], 0)
    assert (document["store"], document["state_as_of"]) == (online, built["as_of"])
    again = said("warm", "--model", version)[1]
    assert (again["keys_added"], again["keys_there_already"]) == (0, built["keys"])
    [kept] = said("show", "card 7", "--model", version, "--store")[1]["histories"]
    [saved] = said("show", "card 7", "--model", version)[1]["histories"]
    assert kept["latest"] == saved["latest"]


def test_a_saved_state_of_the_future_is_refused(said, version, online):
    """Or states would never leave the store again: the newest transaction would be far from the clock."""
    own = layouts(SCHEMA)
    with state_file.writing(home.history_path(version), SCHEMA, HASHER.fingerprint) as file:
        file.put(0, np.ones((1, 16), np.uint8), np.ones((1, own[0].size), np.uint8))
        file.saw(1, 2**62 // 2)
    code, _, words = said("warm", "--model", version)
    assert (code, "holds transactions of the future" in words) == (1, True)


def test_a_store_that_went_on_keeps_what_it_has(said, data, version, online):
    """A key that the service counted since is left as it is: its state is the newer one."""
    said("build", "--model", version, data)
    own = layouts(SCHEMA)
    key, state = bytes.fromhex(HASHER("card 7")[3:]), bytes([1]) + bytes(own[0].size - 1)
    store = Store.open(online, own, HASHER.fingerprint)
    with store.gate.held(1):
        store.put(own[0], [key], [state], 5)
    assert said("warm", "--model", version)[1]["keys_there_already"] == 1
    with store.gate.held(1):
        assert store.states(own[0], [key]) == [state]
    store.close()


def test_a_store_is_copied(said, data, version, online, tmp_path, monkeypatch):
    """All that it knows, once; where from has to be said."""
    keys = said("build", "--model", version, data)[1]["keys"]
    said("warm", "--model", version)
    known = said("show", "card 7", "--model", version, "--store")[1]["histories"]
    assert "say where from" in said("copy", "--model", version)[2]
    monkeypatch.setenv("FRAUD_HISTORY_URL", f"file://{tmp_path}/other")
    assert "there is no online store" in said("copy", "--from", f"file://{tmp_path}/none", "--model", version)[2]
    refused = said("copy", "--from", "redis://me:pass/word@host", "--model", version)[2]
    assert "FRAUD_HISTORY_URL" in refused and "pass/word" not in refused
    code, document, words = said("copy", "--from", online, "--model", version)
    assert code == 0, words
    assert (document["states_copied"], document["states_there_already"], document["whole_from"]) == (keys, 0, {})
    assert said("show", "card 7", "--model", version, "--store")[1]["histories"] == known
    assert said("copy", "--from", online, "--model", version)[1]["states_copied"] == 0


def test_a_key_is_forgotten_online_too(said, data, version, online):
    """The file and the store, and it is said how many."""
    said("build", "--model", version, data)
    said("warm", "--model", version)
    document = said("forget", "card 7")[1]
    assert (document["local"][version], document["online"], document["states_gone"]) == (1, 1, 2)
    assert said("show", "card 7", "--model", version, "--store")[1]["histories"] == []
    assert said("forget", "card 7")[1]["states_gone"] == 0


def test_a_store_that_cannot_be_opened_is_named(said, data, version, online, monkeypatch):
    """Nothing is said to be gone that is not."""
    said("build", "--model", version, data)
    said("warm", "--model", version)
    monkeypatch.delenv("FRAUD_KEY_SECRET")
    code, document, words = said("forget", HASHER("card 7"))
    assert (code, document["online"]) == (0, None)
    assert f"{online} still holds the keys" in words


def test_there_is_no_store_to_look_into(said, version, online):
    assert "there is no online store" in said("show", "card 7", "--model", version, "--store")[2]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("show", "x"), "no state is saved"),
        (("build", "no-such.csv"), "no-such.csv"),
        (("build", "no-such.csv", "--features", "out.csv"), "ends in .parquet"),
    ],
)
def test_what_cannot_be_done_is_one_line(said, version, arguments, says):
    code, document, words = said(*arguments, "--model", version)
    assert (code, document) == (1, None)
    assert says in words
    assert words.strip().splitlines()[-1].startswith("error: ")


def test_it_needs_the_secret_of_the_model(said, data, version, monkeypatch):
    monkeypatch.setenv("FRAUD_KEY_SECRET", "another secret, which is long enough")
    assert "hashed with the secret of fingerprint" in said("build", "--model", version, data)[2]
    monkeypatch.delenv("FRAUD_KEY_SECRET")
    assert "FRAUD_KEY_SECRET is not set" in said("build", "--model", version, data)[2]
    assert "set FRAUD_KEY_SECRET" in said("forget", "card 7")[2]
