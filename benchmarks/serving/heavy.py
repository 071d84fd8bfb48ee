"""A forest that costs half a millisecond a row: a few trees of the sample, many times over."""

import os
from datetime import UTC, datetime
from pathlib import Path


def save_heavy(home: Path, trees: int, distinct: int = 20) -> None:
    """Save a forest of ``trees`` trees, ``distinct`` of them fitted, to the model store in ``home``."""
    home.mkdir(parents=True)
    os.environ["BENTOML_HOME"] = str(home)  # before BentoML looks
    from sklearn.ensemble import RandomForestClassifier

    from fraud import profile, store
    from fraud.features import FEATURES, transform
    from fraud.manifest import Manifest
    from fraud.schema import COLUMNS, LABEL, schema_hash
    from fraud.scorer.file import Probes
    from fraud.scorer.from_sklearn import from_sklearn
    from tests import manifests
    from training import sample

    frame = sample.generate(20_000, seed=7, fraud_share=0.05)
    rows = frame[list(COLUMNS)].to_numpy()
    model = RandomForestClassifier(distinct, random_state=0).fit(transform(rows), frame[LABEL].to_numpy())
    model.estimators_ = [model.estimators_[number % distinct] for number in range(trees)]
    model.n_estimators = trees
    features = transform(rows[:1_000])
    scores = model.predict_proba(features)[:, 1]
    document = manifests.document(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        schema_hash=schema_hash(),
        features=list(FEATURES),
        threshold=0.5,
        profile=profile.build(FEATURES, features, scores).as_bins(),
    )
    store.save(
        model,
        from_sklearn(model),
        Probes(rows[:16], scores[:16]),
        lambda version, files: Manifest.model_validate({**document, "model_version": version, "files": files}),
        {},
    )
