"""States of keys go to a real S3 server with their model, come back whole, and are forgotten there too."""

import json
import os
import subprocess
import sys

import pytest

from tests.e2e.conftest import BUCKET, REPOSITORY
from tests.histories import SCHEMA, SECRET, payments

pytestmark = pytest.mark.e2e


@pytest.fixture
def command(s3, tmp_path):
    """Runs ``python -m training ARGUMENTS`` on the store ``home``: its document and its words."""
    (tmp_path / "cards.toml").write_text(SCHEMA)
    payments(2_000).to_parquet(tmp_path / "rows.parquet")
    settings = {
        "FRAUD_S3_URI": f"s3://{BUCKET}/histories-{os.getpid()}",
        "FRAUD_SCHEMA": str(tmp_path / "cards.toml"),
        "FRAUD_KEY_SECRET": SECRET,
    }

    def run(*arguments, home="home", code=0):
        env = {**os.environ, **s3.env, **settings, "BENTOML_HOME": str(tmp_path / home)}
        words = [sys.executable, "-m", "training", *map(str, arguments)]
        done = subprocess.run(words, env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if done.stdout else None, done.stderr

    return run


def test_states_travel_with_their_model(command, tmp_path):
    """A pull brings the published state, another build replaces it, and a key that is forgotten is forgotten there."""
    rows = tmp_path / "rows.parquet"
    made, _ = command("run", "--data", rows, "--trees", "10", "--publish")
    version = made["model_version"]
    here, there = tmp_path / "home", tmp_path / "other"
    saved = here / "fraud_history" / f"{version}.parquet"
    command("pull", version, home="other")
    pulled = there / "fraud_history" / saved.name
    assert pulled.read_bytes() == saved.read_bytes()
    assert pulled.stat().st_mode & 0o777 == 0o600

    payments(500, seed=1).to_parquet(tmp_path / "more.parquet")
    built, _ = command("history", "build", "--model", version, rows, tmp_path / "more.parquet")
    assert built["published"].startswith("s3://")
    assert saved.read_bytes() != pulled.read_bytes()
    command("pull", version, home="other")
    assert pulled.read_bytes() == saved.read_bytes()

    gone, words = command("history", "forget", "card-7")
    assert gone["local"] == gone["published"] == {version: 1}
    assert "where the bucket keeps versions" in words
    known, _ = command("history", "show", "card-7", "--model", version)
    assert known["histories"] == []
    command("pull", version, home="other")
    assert pulled.read_bytes() == saved.read_bytes()


def test_a_state_that_is_gone_from_the_bucket_is_named(command, tmp_path, s3):
    """The model is not pulled without the state that it goes on from."""
    version = command("run", "--data", tmp_path / "rows.parquet", "--trees", "10", "--publish")[0]["model_version"]
    client = s3.client()
    [key] = [
        one["Key"]
        for one in client.list_objects_v2(Bucket=BUCKET)["Contents"]
        if version in one["Key"] and "history-" in one["Key"]
    ]
    client.delete_object(Bucket=BUCKET, Key=key)
    _, words = command("pull", version, home="other", code=1)
    assert key in words
    assert not (tmp_path / "other" / "fraud_history" / f"{version}.parquet").exists()
