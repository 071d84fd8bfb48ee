"""Training on histories: counted over all rows in time order, once each, and kept from who may not see them."""

import numpy as np
import pytest

from fraud import home, schema, store
from fraud.errors import DataError
from fraud.history import engine
from fraud.history.amounts import times_of, values_of
from fraud.history.layout import layouts
from fraud.inputs.keys import KeyHasher
from fraud.replay.keyed import Keyed
from fraud.replay.state_file import StateFile
from tests.histories import SCHEMA, SECRET, payments
from training import data, encode, run
from training.console import Steps
from training.train import DEFAULTS

OWN = schema.parse(SCHEMA, "cards.toml")
HASHER = KeyHasher(SECRET)


def loaded(tmp_path, *frames):
    paths = [tmp_path / f"part-{number}.parquet" for number in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        frame.to_parquet(path)
    return data.load([str(path) for path in paths], OWN, HASHER)


def a_row_at_a_time(dataset):
    """What the engine says of the rows of a data set, in their order."""
    found = []
    for layout in layouts(OWN):
        keyed = Keyed.of_texts(dataset.others[layout.declared.key].to_numpy(object))
        states = np.zeros(len(keyed.keys) * layout.size, dtype=np.uint8)
        whole = (times_of(dataset.rows, OWN), values_of(dataset.rows, OWN, layout), dataset.labels.astype(np.uint8))
        parts = [
            engine.advance(layout, states, keyed.slots[at], *(np.ascontiguousarray(one[at]) for one in whole))
            for at in (slice(row, row + 1) for row in range(dataset.size))
        ]
        found.append(np.vstack(parts))
    return np.hstack(found)


def test_rows_have_their_histories_behind_them(tmp_path):
    """Whatever the order in which files give them."""
    frame = payments(400)
    dataset = loaded(tmp_path, frame.sample(frac=1, random_state=1), payments(100, seed=1))
    np.testing.assert_array_equal(dataset.rows[:, len(OWN.inputs) :], a_row_at_a_time(dataset))


def test_a_row_that_is_given_twice_counts_once(tmp_path):
    frame = payments(300)
    np.testing.assert_array_equal(loaded(tmp_path, frame, frame[100:200]).rows, loaded(tmp_path, frame).rows)


def test_equal_payments_without_an_id_both_count(tmp_path):
    """They took place, both."""
    frame = payments(200).drop(columns="payment_id")
    dataset = loaded(tmp_path, frame.loc[np.repeat(frame.index, 2)])
    assert (dataset.size, dataset.duplicates_dropped) == (400, 0)
    counts = dataset.rows[:, len(OWN.inputs) + OWN.histories.index("card_id.count.7d")]
    assert (counts[1::2] == counts[::2] + 1).all()


def test_other_rows_are_equal_with_and_without_histories(tmp_path):
    """What hashes and fingerprints are made of says nothing of other transactions."""
    frame = payments(300)
    all_rows, later = loaded(tmp_path, frame), loaded(tmp_path, frame[100:])
    np.testing.assert_array_equal(all_rows.content[100:], later.content)


def test_a_share_of_the_fitting_rows_has_no_history(tmp_path):
    dataset = loaded(tmp_path, payments(1_000))
    everything, wide = np.arange(dataset.size), len(OWN.histories)
    _, features = encode.fit(dataset, everything, DEFAULTS.model_copy(update={"missing_histories": 0.25}))
    path, whole = encode.fit(dataset, everything, DEFAULTS)
    lost = np.isnan(features[:, -wide:]).all(axis=1)
    assert 0.2 < lost.mean() < 0.3
    np.testing.assert_array_equal(features[~lost], whole[~lost])
    np.testing.assert_array_equal(features[:, :-wide], whole[:, :-wide])
    assert set(path.nullable) >= set(range(len(path.names) - wide, len(path.names)))


def test_without_a_secret_nothing_is_loaded(tmp_path):
    frame = payments(100)
    frame.to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="FRAUD_KEY_SECRET is not set"):
        data.load([str(tmp_path / "rows.parquet")], OWN)


def test_a_file_without_the_key_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"part-0.*card_id"):
        loaded(tmp_path, payments(100).drop(columns="card_id"))


def test_a_model_with_histories_is_saved_and_exact(tmp_path):
    """Its probes hold histories, and some of none; the service would open it."""
    payments(2_000).to_parquet(tmp_path / "rows.parquet")
    recipe = DEFAULTS.model_copy(update={"trees": 10})
    plan = run.TrainingPlan([str(tmp_path / "rows.parquet")], OWN, recipe=recipe, hasher=HASHER, jobs=1)
    manifest = run.run(plan, Steps())
    served = store.open_served(store.get(f"fraud_detector:{manifest.model_version}"))
    assert served.features.names[-len(OWN.histories) :] == OWN.histories
    assert set(OWN.histories) <= set(manifest.profile)
    assert manifest.settings.missing_histories == DEFAULTS.missing_histories
    saved = StateFile(home.history_path(manifest.model_version), OWN, HASHER.fingerprint)
    assert saved.facts.rows == 2_000
    assert {number for number, _, _ in saved.parts()} == {0, 1}
    rows = np.zeros((3, len(OWN.inputs)))
    whole = np.hstack([rows, np.full((3, len(OWN.histories)), np.nan)])
    np.testing.assert_array_equal(served.score(rows), served.score(whole))
