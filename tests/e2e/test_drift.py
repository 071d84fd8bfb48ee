"""``python -m monitoring drift`` against a model that only S3 has."""

import json
import subprocess
import sys

import pytest

from tests.e2e.conftest import BUCKET, REPOSITORY
from training import sample

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def elsewhere(store, s3, tmp_path_factory):
    """The published champion's version, and the environment of a machine whose own store is empty."""
    env = store.env | s3.env | {"FRAUD_S3_URI": f"s3://{BUCKET}/drift"}
    publish = [sys.executable, "-m", "training", "publish", store.version]
    subprocess.run(publish, cwd=REPOSITORY, env=env, check=True, capture_output=True, timeout=120)
    return store.version, env | {"BENTOML_HOME": str(tmp_path_factory.mktemp("empty"))}


def drift(env, *arguments):
    command = [sys.executable, "-m", "monitoring", "drift", *map(str, arguments)]
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def test_the_champion_is_pulled_and_compared_with(elsewhere, tmp_path):
    """A workflow's machine needs nothing but S3: the same rows give 0, moved ones 3, each as its own process."""
    version, env = elsewhere
    rows = sample.generate(3_000, seed=21)
    rows.to_parquet(tmp_path / "same.parquet")
    rows.assign(V4=rows["V4"] + 5).to_parquet(tmp_path / "moved.parquet")
    arguments = ("--reference", "champion", "--ignore", "hour", "--data")
    code, result, error = drift(env, *arguments, tmp_path / "same.parquet")
    assert (code, result and result["reference"]["model_version"]) == (0, version), error
    code, result, error = drift(env, *arguments, tmp_path / "moved.parquet")
    assert (code, "V4" in result["drifted"]) == (3, True), error


def test_no_champion_in_s3_is_a_stated_error(elsewhere, tmp_path):
    """Nothing else is taken in its place."""
    _, env = elsewhere
    sample.generate(3_000, seed=21).to_parquet(tmp_path / "same.parquet")
    code, result, error = drift(
        env | {"FRAUD_S3_URI": f"s3://{BUCKET}/nobody"}, "--reference", "champion", "--data", tmp_path / "same.parquet"
    )
    assert (code, result) == (1, None)
    assert "there is no champion yet" in error
