"""What every contestant scores with: the common forest, the demo's own forest, one transaction and its right score."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from benchmarks.serving.environments import ROOT
from fraud import store
from fraud.atomic import replacing
from fraud.estimator.row_features import FOREST
from fraud.features import transform
from fraud.schema import default
from fraud.settings import MODEL_NAME

DEMO_TREES = 500
_OURS = ("FRAUD_", "BENTOML_", "AWS_")


@dataclass(frozen=True)
class Forests:
    """Files and facts that contestants are started with."""

    folder: Path
    home: Path
    """A BENTOML_HOME of the benchmark's own that holds the common forest: a running server's is left alone."""
    tag: str
    pickle: Path
    demo_pickle: Path
    transaction: dict[str, float]
    features: dict[str, float]
    """The model's inputs of the transaction, by name."""
    score: float
    """What scikit-learn gives the transaction, with the common forest and one thread."""
    demo_score: float
    trees: int


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without settings, keys and stores, and with this repository importable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return kept | {"PYTHONPATH": str(ROOT), "BENTOML_DO_NOT_TRACK": "True"} | more


def prepare(model: str | None, data: Sequence[str], work: Path) -> Forests:
    """Take ``model`` from the store or train one on ``data``; fit the demo's forest on ``data``.

    What the same call left in ``work`` is used again. Raises ModelError when the store has no such model.
    """
    key = hashlib.sha256(json.dumps([model, list(data)]).encode()).hexdigest()[:12]
    folder = work.resolve() / key
    home, pickle, demo_pickle = folder / "bentoml", folder / "forest.joblib", folder / "demo.joblib"
    entries = home / "models" / MODEL_NAME
    if not demo_pickle.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        home.mkdir(parents=True)
        if model:
            entry = store.get(model)
            shutil.copytree(entry.path, entries / str(entry.tag.version))
        else:
            _train(data, home)
        _take_forest(next(entries.glob(f"*/{store.PICKLE_FILE}")), pickle)
        _fit_demo(data, demo_pickle)
    version = next(path.name for path in entries.iterdir() if path.is_dir())
    return _describe(folder, home, version, pickle, demo_pickle)


def _train(data: Sequence[str], home: Path) -> None:
    command = [sys.executable, "-m", "training", "run", "--data", *data]
    subprocess.run(
        command, env=clean_environment(BENTOML_HOME=str(home)), cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )


def _take_forest(stored: Path, path: Path) -> None:
    """The bare forest: contestants' environments have scikit-learn, not all that the stored pipeline checks with."""
    joblib.dump(joblib.load(stored)[FOREST], path)


def _fit_demo(data: Sequence[str], path: Path) -> None:
    """The demo's recipe: 500 unpruned trees on the raw columns, and scikit-learn's default of one job."""
    import pandas as pd
    from sklearn.ensemble import RandomForestClassifier

    from training import data as sources

    print(f"fitting the demo's own forest of {DEMO_TREES} trees", file=sys.stderr, flush=True)
    dataset = sources.load(data, default())
    forest = RandomForestClassifier(n_estimators=DEMO_TREES, class_weight="balanced", random_state=42, n_jobs=-1)
    forest.fit(pd.DataFrame(dataset.rows, columns=list(default().inputs)), dataset.labels)
    with replacing(path) as part:
        joblib.dump(forest.set_params(n_jobs=None), part)


def _describe(folder: Path, home: Path, version: str, pickle: Path, demo_pickle: Path) -> Forests:
    import pandas as pd

    transaction = json.loads((ROOT / "sample_transaction.json").read_text())
    row = np.array([[transaction[column] for column in default().inputs]], dtype=np.float64)
    common: Any = joblib.load(pickle).set_params(n_jobs=1)
    frame = pd.DataFrame(row, columns=list(default().inputs))
    return Forests(
        folder=folder,
        home=home,
        tag=f"{MODEL_NAME}:{version}",
        pickle=pickle,
        demo_pickle=demo_pickle,
        transaction=transaction,
        features=dict(zip(default().features, transform(row)[0].tolist(), strict=True)),
        score=float(common.predict_proba(transform(row))[0, 1]),
        demo_score=float(joblib.load(demo_pickle).predict_proba(frame)[0, 1]),
        trees=len(common.estimators_),
    )
