"""Files of a model that looks at histories: scored from its saved state, as the service would, and it is said which."""

import json
from datetime import UTC, datetime

import bentoml
import numpy as np
import pandas as pd
import pytest

from fraud import __main__ as program
from fraud import command, home, store
from fraud.bulk import histories, one_file
from fraud.bulk.many_files import score_files
from fraud.bulk.one_file import score_file
from fraud.errors import DataError, ModelError, SettingsError
from fraud.remote.sources import find
from fraud.replay import state_file
from fraud.replay.grouped import features_of
from fraud.replay.states import States
from tests.fraud.replay.cards import HASHER, SCHEMA, transactions

ROWS, KEYS, _ = transactions(400, seed=9)
LAST = datetime.fromtimestamp(transactions(500, seed=4)[0][-1, 0], UTC)


@pytest.fixture
def tag(cards):
    return f"fraud_detector:{cards.model_version}"


@pytest.fixture
def source(tmp_path):
    """Rows as a file has them; the label is none of it."""
    ids = [f"t{number}" for number in range(len(ROWS))]
    frame = pd.DataFrame({"id": ids, "at": ROWS[:, 0], "amount": ROWS[:, 1], **KEYS})
    frame.to_parquet(tmp_path / "in.parquet", index=False)
    return tmp_path / "in.parquet"


@pytest.fixture
def saved_state(cards):
    """Of rows before those of the file: the states, and where they are kept."""
    rows, keys, frauds = transactions(500, seed=4)
    kept, path = States(SCHEMA), home.history_path(cards.model_version)
    kept.advance(rows, keys, frauds)
    with state_file.writing(path, SCHEMA, HASHER.fingerprint) as file:
        for given in kept.given():
            file.put(*given)
        file.saw(len(rows), int(rows[-1, 0] * 1e6))
    yield kept
    path.unlink()


def expected(tag, features):
    """What the service's scorer gives rows with these histories."""
    return store.open_served(store.get(tag)).score(np.hstack([ROWS, features]))


def scores(path):
    return pd.read_parquet(path)["fraud_probability"].to_numpy()


def test_it_goes_on_from_the_saved_state(source, tmp_path, tag, cards, saved_state):
    """Scores of a row at a time, bit for bit; the answer and each row say from which state."""
    answer = score_file(source, tmp_path / "out.parquet", tag)
    features = np.vstack(
        [saved_state.advance(ROWS[[n]], {name: own[[n]] for name, own in KEYS.items()}) for n in range(len(ROWS))]
    )
    np.testing.assert_array_equal(scores(tmp_path / "out.parquet"), expected(tag, features))
    assert answer["history"] == f"the state of {cards.model_version} as of {LAST:%Y-%m-%dT%H:%M:%SZ}"
    said = pd.read_parquet(tmp_path / "out.parquet")["history"].unique()
    assert len(said) == 1
    assert said[0].startswith("sha256:")


def test_without_a_state_it_begins_with_the_first_row(source, tmp_path, tag, capsys):
    """And says so, in the answer and in a line."""
    assert command.main(program.parser(), ["score", str(source), str(tmp_path / "out.parquet"), "--model", tag]) == 0
    done = capsys.readouterr()
    assert json.loads(done.out)["history"] == histories.NOTHING_SAVED
    assert "warning: no state is saved" in done.err
    np.testing.assert_array_equal(scores(tmp_path / "out.parquet"), expected(tag, features_of(ROWS, KEYS, SCHEMA)))


def test_histories_can_be_left_out(source, tmp_path, tag, saved_state, monkeypatch):
    """All are missing then, and no secret is needed."""
    monkeypatch.delenv("FRAUD_KEY_SECRET")
    answer = score_file(source, tmp_path / "out.parquet", tag, history="none")
    assert answer["history"] == "left out"
    missing = np.full((len(ROWS), len(SCHEMA.histories)), np.nan)
    np.testing.assert_array_equal(scores(tmp_path / "out.parquet"), expected(tag, missing))


def test_one_id_counts_once(source, tmp_path, tag):
    """A row that comes again gets the features that it got first, within a chunk and beyond."""
    frame = pd.read_parquet(source)
    twice = pd.concat([frame[:200], frame[100:150], frame[200:], frame[:10]])
    twice.to_parquet(source, index=False)
    score_file(source, tmp_path / "out.parquet", tag)
    found = pd.read_parquet(tmp_path / "out.parquet").groupby("transaction_id")["fraud_probability"]
    assert (found.nunique() == 1).all()
    once = expected(tag, features_of(ROWS, KEYS, SCHEMA))
    np.testing.assert_array_equal(found.first()[[f"t{number}" for number in range(len(ROWS))]].to_numpy(), once)


def test_an_interrupted_run_counts_what_it_scored_before(source, tmp_path, tag, saved_state, monkeypatch):
    """The rest is scored from the state after those rows: the output is that of a run in one go."""
    score_file(source, tmp_path / "whole.parquet", tag)
    monkeypatch.setattr(one_file, "CHUNK_ROWS", 64)

    def stop(_share, rows):
        if rows >= 128:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_file(source, tmp_path / "out.parquet", tag, observer=stop)
    assert score_file(source, tmp_path / "out.parquet", tag)["resumed_at_row"] == 128
    np.testing.assert_array_equal(scores(tmp_path / "out.parquet"), scores(tmp_path / "whole.parquet"))


def test_pieces_of_another_state_are_of_no_use(source, tmp_path, tag, cards, saved_state, monkeypatch):
    monkeypatch.setattr(one_file, "CHUNK_ROWS", 64)

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_file(source, tmp_path / "out.parquet", tag, observer=stop)
    gone = next(iter(state_file.StateFile(home.history_path(cards.model_version), SCHEMA, None).parts()))[1][0]
    state_file.without(home.history_path(cards.model_version), {bytes(gone)})
    assert "resumed_at_row" not in score_file(source, tmp_path / "out.parquet", tag)


def test_outputs_of_another_state_are_made_again(source, tmp_path, tag, saved_state):
    """An output with histories left out is not taken for one with them."""
    files, out = find([str(source)]), tmp_path / "out"

    def without(path, target, tag):
        return score_file(path, target, tag, history="none")

    assert score_files(files, out, tag, without, history="none")["files"] == 1
    assert score_files(files, out, tag, without, history="none")["skipped"] == 1
    answer = score_files(files, out, tag, score_file)
    assert (answer["files"], answer["skipped"]) == (1, 0)
    assert answer["history"].startswith("the state of")
    assert score_files(files, out, tag, score_file)["skipped"] == 1


@pytest.fixture
def backwards(source):
    """The same file, the latest first."""
    pd.read_parquet(source)[::-1].to_parquet(source, index=False)
    return source


def test_rows_out_of_order_are_counted(backwards, tmp_path, tag, capsys, monkeypatch):
    """Over chunks: each but the latest, which comes first, is older than one before it. Of files they add up."""
    monkeypatch.setattr(one_file, "CHUNK_ROWS", 64)
    late = int((ROWS[:, 0] < ROWS[-1, 0]).sum())
    command.main(program.parser(), ["score", str(backwards), str(tmp_path / "out.parquet"), "--model", tag])
    done = capsys.readouterr()
    assert json.loads(done.out)["rows_out_of_order"] == late
    assert f"warning: {late} rows are older than one before them" in done.err
    assert score_files(find([str(backwards)]), tmp_path / "out", tag, score_file)["rows_out_of_order"] == late


def test_rows_that_the_state_may_hold_are_counted(source, tmp_path, tag, saved_state):
    """They count twice where it was counted of them: a row of the state's own time is one."""
    answer = score_file(source, tmp_path / "out.parquet", tag)
    within = int((ROWS[:, 0] <= transactions(500, seed=4)[0][-1, 0]).sum())
    assert within > 0
    assert answer["rows_within_state"] == within
    assert [line for line in histories.doubts(answer) if "count twice" in line]


def test_in_order_nothing_is_doubted(source, tmp_path, tag, saved_state):
    """Rows in time order, all after those that the state was counted of."""
    frame = pd.read_parquet(source)
    frame["at"] = frame["at"] + 1e8
    frame.sort_values("at").to_parquet(source, index=False)
    assert list(histories.doubts(score_file(source, tmp_path / "out.parquet", tag))) == []


def test_it_is_refused_without_what_it_needs(source, tmp_path, tag, cards, saved_state, monkeypatch):
    """The secret, the key's column, and a state that is whole."""
    pd.read_parquet(source).drop(columns="shop").to_parquet(tmp_path / "less.parquet")
    with pytest.raises(DataError, match=r"no column shop.*--history none"):
        score_file(tmp_path / "less.parquet", tmp_path / "out.parquet", tag)
    monkeypatch.setenv("FRAUD_KEY_SECRET", "another secret, which is long enough")
    with pytest.raises(DataError, match="hashed with the secret of fingerprint"):
        score_file(source, tmp_path / "out.parquet", tag)
    monkeypatch.delenv("FRAUD_KEY_SECRET")
    with pytest.raises(SettingsError, match=f"FRAUD_KEY_SECRET is not set.*{HASHER.fingerprint}: set that one"):
        score_file(source, tmp_path / "out.parquet", tag)
    monkeypatch.undo()


def test_a_damaged_state_is_refused(source, tmp_path, tag, cards, saved_state):
    path = home.history_path(cards.model_version)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ModelError, match="history build"):
        score_file(source, tmp_path / "out.parquet", tag)


def test_the_stored_pipeline_takes_histories_by_name(source, tag, saved_state):
    """As `history build --features` writes them; without them they are missing."""
    features = saved_state.advance(ROWS, KEYS)
    frame = pd.read_parquet(source)
    pipeline = bentoml.sklearn.load_model(tag)
    given = frame.join(pd.DataFrame(features, columns=list(SCHEMA.histories)))[
        [*reversed(SCHEMA.histories), *frame.columns]
    ]
    assert np.array_equal(pipeline.predict_proba(given)[:, 1], expected(tag, features))
    assert np.array_equal(pipeline.predict_proba(frame)[:, 1], expected(tag, np.full_like(features, np.nan)))
