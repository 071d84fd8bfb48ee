"""A saved model judged on later rows: with what their keys did before, where its saved state holds that."""

from types import SimpleNamespace

import numpy as np
import pytest

from fraud import home
from fraud.inputs.keys import KeyHasher
from fraud.replay import saving
from fraud.schema import parse
from tests.histories import SCHEMA, SECRET, payments
from training import data
from training.dataset import keys_of
from training.histories.going_on import OVER_THEMSELVES, from_saved

HASHER = KeyHasher(SECRET)
MODEL = SimpleNamespace(version="judged")


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """All rows, and those of the last third, as data sets; a state of the first two thirds is saved."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home"))
    schema, rows = parse(SCHEMA, "test"), payments(900, days=10)
    found = []
    for name, part in (("all", rows), ("early", rows[:600]), ("late", rows[600:])):
        part.to_parquet(tmp_path / f"{name}.parquet")
        found.append(data.load([str(tmp_path / f"{name}.parquet")], schema, HASHER))
    whole, early, late = found
    keys = keys_of(early.others, schema)
    path = home.history_path("judged")
    saving.save(path, early.rows[:, : len(schema.inputs)], keys, schema, early.labels, HASHER.fingerprint)
    return whole, early, late


def test_later_rows_go_on_from_the_saved_state(judged):
    """They have the histories that they have among all rows."""
    whole, _, late = judged
    own, said = from_saved(late, MODEL, HASHER)
    assert said.startswith("the state of judged as of 2023-11-2")
    width = len(whole.schema.histories)
    np.testing.assert_array_equal(own.rows[:, -width:], whole.rows[600:, -width:])
    assert not np.array_equal(late.rows[:, -width:], whole.rows[600:, -width:], equal_nan=True)


def test_rows_that_the_state_holds_are_not_counted_twice(judged):
    whole, _, _ = judged
    own, said = from_saved(whole, MODEL, HASHER)
    assert own is whole
    assert said.startswith(OVER_THEMSELVES)
    assert "reaches into their time" in said


def test_without_a_state_rows_are_counted_alone(judged):
    _, _, late = judged
    home.history_path("judged").unlink()
    assert from_saved(late, MODEL, HASHER) == (late, f"{OVER_THEMSELVES}: no state is saved for the model")


def test_a_schema_without_histories_has_none(judged):
    plain = SimpleNamespace(schema=SimpleNamespace(history=()))
    assert from_saved(plain, MODEL, HASHER) == (plain, None)


def test_drift_leaves_histories_out_and_says_so(tmp_path):
    """And the score, which follows from them: rows of a file do not tell what came before."""
    from monitoring.offline.drift_report import Question, report

    schema = parse(SCHEMA, "test")
    for name, seed in (("one", 1), ("two", 2)):
        payments(3_000, seed).to_parquet(tmp_path / f"{name}.parquet")
    question = Question(str(tmp_path / "one.parquet"), None, str(tmp_path / "two.parquet"), schema=schema)
    done = report(question)
    assert {finding.name for finding in done.findings} == set(schema.features) - set(schema.histories)
    assert done.as_dict()["left_out"] == [*schema.histories, "score"]
    assert "Left out" in done.markdown()
