"""``python -m training history``: what is built, shown and forgotten, as a person sees it."""

import json

import numpy as np
import pandas as pd
import pytest

from fraud import command, home
from fraud.bulk.one_file import score_file
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
    assert said("forget", "card 7")[1]["states_gone"] == 0


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
