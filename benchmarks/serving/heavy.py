"""A forest of any size at once: a few trees of the sample, many times over. 24,000 take half a millisecond a row.

BENTOML_HOME=FOLDER python -m benchmarks.serving.heavy TREES
"""

import sys
from datetime import UTC, datetime

from fraud.features import of_default
from fraud.saving import entry


def save(trees: int, distinct: int = 20) -> None:
    """Save a forest of ``trees`` trees, ``distinct`` of them fitted, to the model store."""
    from sklearn.ensemble import RandomForestClassifier

    from fraud import profile
    from fraud.features import transform
    from fraud.manifest import Manifest
    from fraud.schema import default
    from fraud.scorer.file import Probes
    from fraud.scorer.from_sklearn import from_sklearn
    from tests import manifests
    from training import sample

    frame = sample.generate(20_000, seed=7, fraud_share=0.05)
    rows = frame[list(default().inputs)].to_numpy()
    model = RandomForestClassifier(distinct, random_state=0).fit(
        transform(rows), frame[default().roles.label].to_numpy()
    )
    model.estimators_ = [model.estimators_[number % distinct] for number in range(trees)]
    model.n_estimators = trees
    features = transform(rows[:1_000])
    scores = model.predict_proba(features)[:, 1]
    document = manifests.document(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        schema_hash=default().hash,
        features=list(default().features),
        threshold=0.5,
        profile=profile.build(default().features, features, scores).as_bins(),
    )
    entry.save(
        model,
        from_sklearn(model),
        of_default(),
        Probes(rows[:16], scores[:16]),
        lambda version, files: Manifest.model_validate({**document, "model_version": version, "files": files}),
        {},
    )


if __name__ == "__main__":
    save(int(sys.argv[1]))
