"""What is stored for scikit-learn takes rows as they stand in a file, and gives the product's scores or an error."""

import pickle

import bentoml
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from fraud import store
from fraud.bulk.one_file import score_file
from fraud.estimator.row_features import FOREST, RowFeatures, pipeline
from fraud.features import of_default, transform
from tests.ulb import COLUMNS, LABEL


@pytest.fixture(scope="module")
def stored(saved):
    """The pipeline as a data scientist loads it."""
    return bentoml.sklearn.load_model(f"fraud_detector:{saved.model_version}")


@pytest.fixture(scope="module")
def scores(saved, rows):
    """What the service's scorer gives the rows."""
    served = store.open_served(store.get(f"fraud_detector:{saved.model_version}"))
    return served.forest.score(transform(rows))


def test_the_stored_model_scores_as_the_product(stored, frame, scores):
    """A file's own columns, with the label and in the file's order, give the scores of the service bit for bit."""
    assert np.array_equal(stored.predict_proba(frame)[:, 1], scores)


def test_a_file_is_scored_as_fraud_score_does(stored, frame, saved, tmp_path):
    """The README's two lines on a CSV file, and ``python -m fraud score`` on the same file."""
    source, target = tmp_path / "in.csv", tmp_path / "out.parquet"
    frame.to_csv(source, index=False)
    score_file(source, target, f"fraud_detector:{saved.model_version}")
    expected = pd.read_parquet(target)["fraud_probability"].to_numpy()
    assert np.array_equal(stored.predict_proba(pd.read_csv(source))[:, 1], expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame[frame.columns[::-1]],
        lambda frame: frame.drop(columns=LABEL),
        lambda frame: frame.assign(transaction_id="t", fraud_probability=0.5),
        lambda frame: frame.set_index(np.arange(len(frame))[::-1]),
        lambda frame: frame[list(COLUMNS)].to_numpy(),
        lambda frame: np.asfortranarray(frame[list(COLUMNS)].to_numpy()),
    ],
    ids=["reversed", "no label", "more columns", "another index", "an array", "by columns"],
)
def test_the_form_of_the_rows_changes_no_score(stored, frame, scores, change):
    """Columns are taken by name; others, the index and the memory layout do not matter."""
    assert np.array_equal(stored.predict_proba(change(frame))[:, 1], scores)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.drop(columns=["V3", "Amount"]), "missing columns: V3, Amount"),
        (lambda frame: frame.rename(columns={"V1": "v1"}), "missing columns: V1"),
        (lambda frame: pd.concat([frame, frame[["V1"]]], axis=1), "columns given more than once: V1"),
        (lambda frame: frame.assign(Amount=-1.0), "Amount must be from 0 to 1e"),
        (lambda frame: frame.assign(V1=np.nan), "V1 must be not empty"),
        (lambda frame: frame.assign(V1=np.inf), "V1 must be finite"),
        (lambda frame: frame.assign(V1="x"), "V1 must be a number"),
        (lambda frame: frame[:0], "the table has no rows"),
        (lambda frame: frame.assign(Class=np.nan), "Class is empty in every row"),
        (lambda frame: transform(frame[list(COLUMNS)].to_numpy()), r"got float32 \(1000, 30\)"),
        (lambda frame: frame[list(COLUMNS)].to_numpy(np.float32), r"got float32 \(1000, 30\)"),
        (lambda frame: frame[list(COLUMNS)].to_numpy(object), r"got object \(1000, 30\)"),
        (lambda frame: frame.to_numpy(), r"got float64 \(1000, 31\)"),
        (lambda frame: frame[list(COLUMNS)].to_numpy()[0], r"got float64 \(30,\)"),
        (lambda frame: frame[list(COLUMNS)].to_numpy() * np.nan, "Time must be not empty"),
        (lambda frame: frame[list(COLUMNS)].to_numpy().tolist(), "expected a DataFrame .* got list"),
    ],
)
def test_what_is_no_rows_is_a_value_error(stored, frame, change, words):
    """Features, other shapes, missing columns and values the product refuses are named, never scored."""
    with pytest.raises(ValueError, match=words):
        stored.predict_proba(change(frame))


def test_a_row_shifted_by_pandas_is_refused(stored, frame, tmp_path):
    """A comma at the end of each row makes pandas take Time for the index: the others are under wrong names."""
    lines = frame.to_csv(index=False).splitlines()
    (tmp_path / "in.csv").write_text("\n".join([lines[0], *(line + "," for line in lines[1:])]))
    with pytest.raises(ValueError, match="where rows end in a comma"):
        stored.predict_proba(pd.read_csv(tmp_path / "in.csv"))


def test_it_is_a_whole_estimator(model, frame, scores):
    """It can be cloned and pickled, counts as fitted, and says how many columns it takes."""
    whole = pipeline(model, of_default())
    check_is_fitted(whole)
    assert whole.n_features_in_ == len(COLUMNS)
    assert isinstance(clone(whole).steps[0][1], RowFeatures)
    again = pickle.loads(pickle.dumps(whole))  # noqa: S301 - our own
    assert np.array_equal(again.predict_proba(frame)[:, 1], scores)


def test_the_bare_forest_is_a_step_of_it(stored, model, rows):
    """Who wants the forest itself, for its importances, takes it by name."""
    features = transform(rows)
    assert np.array_equal(stored[FOREST].predict_proba(features), model.predict_proba(features))
