"""A model that looks at histories, fitted on rows with theirs."""

import bentoml
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from fraud import profile
from fraud.features import FeaturePath
from fraud.replay.grouped import features_of
from fraud.scorer.file import Probes
from fraud.scorer.from_sklearn import from_sklearn
from tests.fraud.replay.cards import HASHER, SCHEMA, SECRET, transactions
from tests.fraud.stored import save


@pytest.fixture
def cards(facts, monkeypatch):
    """Its manifest; the secret that its keys were hashed with is set."""
    rows, keys, frauds = transactions(800, seed=3)
    path = FeaturePath(SCHEMA)
    wide = np.hstack([rows, features_of(rows, keys, SCHEMA, frauds)])
    features = path.transform(wide)
    model = RandomForestClassifier(12, random_state=0, n_jobs=1).fit(features, frauds)
    scores = model.predict_proba(features)[:, 1]
    told = facts | {
        "schema_hash": SCHEMA.hash,
        "transaction_schema": SCHEMA.document(),
        "key_fingerprint": HASHER.fingerprint,
        "features": path.names,
        "profile": profile.build(path.names, features, scores).as_bins(),
    }
    monkeypatch.setenv("FRAUD_KEY_SECRET", SECRET)
    manifest = save(model, from_sklearn(model, path.nullable), Probes(wide[:64], scores[:64]), told, features=path)
    yield manifest
    bentoml.models.delete(f"fraud_detector:{manifest.model_version}")
