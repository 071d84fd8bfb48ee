import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score

from fraud.errors import DataError
from fraud.features import transform
from fraud.schema import default
from fraud.tables import table
from tests.ulb import COLUMNS, LABEL
from training import data, sample, split

DEMO = Path(__file__).parents[2] / "sample_transaction.json"


def test_same_seed_same_rows():
    """Rows and seed fix every value; another seed gives other rows."""
    pd.testing.assert_frame_equal(sample.generate(1_000, 3), sample.generate(1_000, 3), check_exact=True)
    assert not np.isin(sample.generate(1_000, 3)["V1"], sample.generate(1_000, 4)["V1"]).any()


def test_defaults():
    """By default there are 40,000 rows, one in two hundred a fraud, none of them twice."""
    dataset = data.load(["sample"], default())
    assert (dataset.size, dataset.frauds, dataset.duplicates_dropped) == (40_000, 200, 0)


def test_rows_meet_the_schema():
    """The frame is already as the check returns it, in time order over two days, with amounts in cents."""
    frame = sample.generate(20_000)
    pd.testing.assert_frame_equal(table.check(frame, default(), labelled=True), frame, check_exact=True)
    assert frame["Time"].is_monotonic_increasing
    assert frame["Time"].between(0, 172_800, inclusive="left").all()
    assert np.allclose(frame["Amount"] * 100, (frame["Amount"] * 100).round(), atol=1e-6, rtol=0)


def test_nights_are_quiet():
    """The three hours around 3 at night hold less than a third of those around 15."""
    hours = sample.generate()["Time"] % 86_400 // 3_600
    assert 3 * hours.between(2, 4).sum() < hours.between(14, 16).sum()


def test_components_fall_in_scale():
    """Legitimate components become smaller from V1 to V28, and have heavier tails than a normal curve."""
    legitimate = sample.generate().query(f"{LABEL} == 0")[list(COLUMNS[1:-1])]
    assert legitimate["V1"].std() > 1.5 * legitimate["V14"].std() > 2.5 * legitimate["V28"].std()
    assert (legitimate.kurt() > 1).all()


@pytest.mark.parametrize("rows", [1_000, 1_999, 20_000])
def test_every_fifth_has_frauds(rows):
    """Frauds are spread over time, so that any split of any size finds some on either side."""
    labels = sample.generate(rows, seed=1)[LABEL].to_numpy()
    assert labels.sum() == max(10, round(rows * 0.005))
    assert all(part.any() for part in np.array_split(labels, 5))


def test_fraud_share():
    """The share of frauds is as asked for."""
    assert sample.generate(10_000, fraud_share=0.3)[LABEL].sum() == 3_000


@pytest.mark.parametrize(
    "arguments",
    [{"rows": 999}, {"rows": 0}, {"rows": 10_000_001}, {"fraud_share": 0.0}, {"fraud_share": 0.6}],
)
def test_refused_arguments(arguments):
    """Too few or too many rows, and impossible shares of frauds, are stated errors."""
    with pytest.raises(DataError, match=r"got|asked for"):
        sample.generate(**arguments)


def test_a_forest_is_good_but_not_perfect():
    """A forest fitted on it ranks most frauds first but not all, and passes the demo transaction."""
    dataset = data.load(["sample:20000:1"], default())
    features, parts = transform(dataset.rows), split.split(dataset)
    forest = RandomForestClassifier(40, class_weight="balanced", random_state=0, min_samples_leaf=2)
    forest.fit(features[parts.train], dataset.labels[parts.train])
    scores = forest.predict_proba(features[parts.test])[:, 1]
    assert 0.6 < average_precision_score(dataset.labels[parts.test], scores) < 0.95
    demo = json.loads(DEMO.read_text())
    row = np.array([[demo[column] for column in COLUMNS]], dtype=np.float64)
    assert forest.predict_proba(transform(row))[0, 1] < 0.05
