"""Small real models and rows that the tests of ``fraud`` share."""

import json
from datetime import UTC, datetime

import bentoml
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from fraud import profile, store
from fraud.features import transform
from fraud.schema import default
from fraud.scorer.file import Probes
from fraud.scorer.from_sklearn import from_sklearn
from tests import manifests
from tests.fraud.stored import save
from tests.ulb import COLUMNS, FEATURES, LABEL
from training import sample


@pytest.fixture(scope="session")
def frame():
    """1,000 synthetic transactions with labels, a tenth of them frauds."""
    return sample.generate(1_000, seed=7, fraud_share=0.1)


@pytest.fixture(scope="session")
def rows(frame):
    """The same as float64 rows."""
    return frame[list(COLUMNS)].to_numpy()


@pytest.fixture(scope="session")
def model(frame, rows):
    """A forest of 12 trees fitted on them."""
    forest = RandomForestClassifier(12, random_state=0, n_jobs=1)
    return forest.fit(transform(rows), frame[LABEL].to_numpy())


@pytest.fixture(scope="session")
def scorer(model):
    """Its exact scorer."""
    return from_sklearn(model)


@pytest.fixture(scope="session")
def probes(model, rows):
    """64 rows with scikit-learn's scores of them."""
    return Probes(rows[:64], model.predict_proba(transform(rows[:64]))[:, 1])


@pytest.fixture(scope="session")
def facts(model, rows):
    """What a manifest of the model says, but for its version and files."""
    features = transform(rows)
    document = manifests.document(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        schema_hash=default().hash,
        features=FEATURES,
        threshold=0.75,  # nine of twelve trees: rows lie exactly on it
        profile=profile.build(FEATURES, features, model.predict_proba(features)[:, 1]).as_bins(),
    )
    return {name: part for name, part in document.items() if name not in ("model_version", "files")}


@pytest.fixture(scope="package")
def saved(model, scorer, probes, facts):
    """The manifest of the model's entry in the store, which these tests share; all they add is deleted at their end."""
    before = store.versions()
    yield save(model, scorer, probes, facts)
    for version in set(store.versions()) - set(before):
        bentoml.models.delete(f"fraud_detector:{version}")


@pytest.fixture
def line(rows):
    """One valid transaction as a dictionary."""
    return json.loads(json.dumps(dict(zip(COLUMNS, np.round(rows[0], 4).tolist(), strict=True))))
