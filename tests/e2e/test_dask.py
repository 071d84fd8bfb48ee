"""Fitting and scoring files on a Dask cluster: a real scheduler with two worker processes."""

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

from tests.components import missing
from tests.components.dask import DaskCluster
from tests.e2e.conftest import REPOSITORY, run
from training import sample

pytestmark = pytest.mark.e2e

# in a process of its own: distributed starts threads and warns of things that are not ours
FIT = """
import json, sys
import numpy as np
from fraud.schema import default
from fraud.tables import table
from training import encode, train
from training.backend import fitting_on
from training.data import load
from training.dataset import combine
from training.run import out_of_fold
from tests import shop_schema

shop = table.check(shop_schema.generate(3000), shop_schema.SCHEMA, labelled=True)
datasets = [load(["sample:5000"], default()), combine([shop], ["shop"], shop_schema.SCHEMA, synthetic=True)]
same = {"scores": [], "trees": [], "out_of_fold": []}
for dataset in datasets:
    part, recipe = np.arange(dataset.size), train.DEFAULTS.model_copy(update={"trees": 30, "seed": 5})
    _, features = encode.fit(dataset, part, recipe)
    given, folds = (features, dataset.labels, recipe), part % 3
    here = train.fit(*given)
    with fitting_on("dask", sys.argv[1]):
        there = train.fit(*given)
        scores = out_of_fold(dataset, part, folds, recipe)
    same["scores"].append(np.array_equal(train.score(here, features), train.score(there, features)))
    same["trees"].append(all(
        np.array_equal(one.tree_.threshold, other.tree_.threshold, equal_nan=True)
        and np.array_equal(one.tree_.value, other.tree_.value)
        for one, other in zip(here.estimators_, there.estimators_, strict=True)
    ))
    same["out_of_fold"].append(np.array_equal(scores, out_of_fold(dataset, part, folds, recipe)))

import distributed
with distributed.Client(sys.argv[1]) as client:
    executed = client.run(lambda dask_worker: dask_worker.state.executed_count)
print(json.dumps({**same, "executed": list(executed.values())}))
"""
HIDE = """
import os
from importlib.metadata import PackageNotFoundError
from training import backend

def version(name, here=os.getpid()):
    if os.getpid() != here:
        raise PackageNotFoundError(name)
    return "1"

backend.version = version
"""
CONNECT = """
import sys
from fraud.bulk import cluster
from fraud.errors import FraudError
from training import backend
cluster.CONNECT_SECONDS = 3
try:
    with backend.fitting_on("dask", sys.argv[1]):
        pass
except FraudError as error:
    sys.exit(f"error: {error}")
"""


@pytest.fixture(scope="module", autouse=True)
def package():
    if find_spec("distributed") is None:
        missing("distributed", "pip install distributed (it is in requirements/dev.txt)")


def test_a_cluster_grows_the_same_forest(tmp_path):
    """Of either schema: trees, scores and out-of-fold scores are those of this machine, and both workers took part."""
    with DaskCluster(tmp_path) as cluster:
        said = json.loads(run([sys.executable, "-c", FIT, cluster.address], dict(os.environ)))
    executed = said.pop("executed")
    assert said == {name: [True, True] for name in ("scores", "trees", "out_of_fold")}
    assert len(executed) == 2
    assert min(executed) > 10


@pytest.mark.parametrize("workers", [None, 0], ids=["no scheduler", "no workers"])
def test_a_cluster_that_is_not_there_is_said(workers, tmp_path):
    """Within seconds, in one line, without a traceback."""
    cluster = DaskCluster(tmp_path, workers=0)
    if workers is not None:
        cluster.start()
    try:
        started = time.monotonic()
        command = [sys.executable, "-c", CONNECT, cluster.address]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
        assert time.monotonic() - started < 15
    finally:
        cluster.stop()
    assert done.returncode == 1
    reason = "no Dask scheduler answered" if workers is None else "no worker came"
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {cluster.address}: {reason} within 3 s")


def test_a_worker_without_a_package_is_said(tmp_path):
    """In one line that names the worker and the package, without a traceback."""
    with DaskCluster(tmp_path) as cluster:
        command = [sys.executable, "-c", HIDE + CONNECT, cluster.address]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {cluster.address}: worker tcp://127.0.0.1:")
    assert line.endswith("has scikit-learn none, expected 1 as here")


@pytest.fixture
def files(tmp_path):
    """Three good files and a bad one."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number, name in enumerate(("a.parquet", "b.parquet", "c.csv")):
        frame = sample.generate(3_000, seed=number)
        path = folder / name
        frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    sample.generate(1_000, seed=9).assign(V3=float("nan")).to_parquet(folder / "d.parquet")
    return folder


def score(files, output, env, *more):
    command = [sys.executable, "-m", "fraud", "score", str(files), str(output), *more]
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout or "null"), done.stderr


def test_a_cluster_scores_files_as_this_machine_does(files, tmp_path, store):
    """The same bytes in each output; the bad file is named, the others go on; a second run skips what is done."""
    env = {**store.env, "PYTHONPATH": str(REPOSITORY)}
    assert score(files, tmp_path / "here", store.env)[0] == 1
    with DaskCluster(tmp_path, env=env) as cluster:
        code, answer, error = score(files, tmp_path / "there", store.env, "--scheduler", cluster.address)
        again = score(files, tmp_path / "there", store.env, "--scheduler", cluster.address)[1]
    assert code == 1
    assert (answer["files"], answer["skipped"], answer["rows"]) == (3, 0, 9_000)
    assert (again["files"], again["skipped"], len(again["failed"])) == (0, 3, 1)
    [failed] = answer["failed"]
    assert failed["input"] == str(files / "d.parquet")
    assert "V3 must be not empty: 1000 rows are not" in failed["error"]
    assert len(error.splitlines()) == 4
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["a.parquet", "b.parquet", "c.csv"]
    for path in (tmp_path / "there").iterdir():
        assert path.read_bytes() == (tmp_path / "here" / path.name).read_bytes()


def test_a_cluster_without_our_code_is_said(files, tmp_path, store):
    """In one line that names who lacks it, and nothing is scored."""
    with DaskCluster(tmp_path, workers=1) as cluster:
        code, answer, error = score(files, tmp_path / "out", store.env, "--scheduler", cluster.address)
    assert (code, answer) == (1, None)
    assert error == (
        f"error: {cluster.address}: the scheduler has no package `fraud`; start it with this code on PYTHONPATH\n"
    )


def test_a_worker_without_the_model_is_said(files, tmp_path, store):
    """Its store is named as the reason."""
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "BENTOML_HOME": str(tmp_path / "empty")}
    with DaskCluster(tmp_path, workers=1, env=env) as cluster:
        code, answer, _ = score(files, tmp_path / "out", store.env, "--scheduler", cluster.address)
    assert code == 1
    assert len(answer["failed"]) == 4
    assert all(f"the model store has no fraud_detector:{store.version}" in one["error"] for one in answer["failed"])
