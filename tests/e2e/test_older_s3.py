"""S3 servers that know less than AWS: what can work does, and what cannot is refused before anybody relies on it."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from fraud.errors import UnsupportedError
from fraud.remote import s3
from fraud.remote.registry import Registry
from tests.components import OlderS3, SeaweedFS
from tests.e2e.conftest import REPOSITORY
from training import sample

pytestmark = pytest.mark.e2e

OFF = {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required", "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required"}
BUCKET = "older"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A server without signatures, so that the proxies may change what was signed."""
    with SeaweedFS(tmp_path_factory.mktemp("s3"), anonymous=True) as server:
        server.make_bucket(BUCKET)
        yield server


@pytest.fixture(scope="module")
def careless(whole):
    """It takes If-Match and If-None-Match and ignores them."""
    with OlderS3("conditions", whole.url) as server:
        yield whole.env | {"AWS_ENDPOINT_URL_S3": server.url}


@pytest.fixture(scope="module")
def strict(whole):
    """It refuses a call with a checksum header."""
    with OlderS3("checksums", whole.url) as server:
        yield whole.env | {"AWS_ENDPOINT_URL_S3": server.url}


@pytest.fixture
def uri():
    return f"s3://{BUCKET}/{uuid.uuid4().hex[:8]}"


@pytest.fixture
def call(store, uri, tmp_path):
    """Runs ``python -m training ARGUMENTS``: exit code, parsed stdout (None when empty) and stderr."""
    shutil.copytree(store.home, tmp_path / "home")

    def answer(env, *arguments, home="home"):
        command = [sys.executable, "-m", "training", *map(str, arguments)]
        env = {**os.environ, **env, "BENTOML_HOME": str(tmp_path / home), "FRAUD_S3_URI": uri}
        done = subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr

    return answer


def reach(monkeypatch, env):
    """Reach S3 so from here on."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)


def write_sample(folder):
    """A small data set to push."""
    path = folder / "base.parquet"
    sample.generate(2000).to_parquet(path)
    return path


def test_bucket_create_names_conditional_writes_as_missing(call, careless, whole, uri):
    """They hold straight, do not through the server that ignores them, and neither trial leaves an object."""
    _, result, _ = call(whole.env, "bucket", "create", "--allow-missing")
    assert "conditional_writes" in result["holds"]
    code, result, said = call(careless, "bucket", "create")
    assert code == 1
    assert result["missing"]["conditional_writes"] == "If-None-Match: 4 of 4 writers at once won, expected 1"
    assert "conditional_writes; --allow-missing accepts that" in said
    listed = whole.client().list_object_versions(Bucket=BUCKET, Prefix=uri.partition(f"{BUCKET}/")[2])
    assert [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])] == []


def test_nobody_is_promoted_where_two_could_win(call, careless, store, uri, monkeypatch):
    """Publishing and pulling work and no champion is made, at once or by hand; no trace of the trial is left."""
    code, result, said = call(careless, "publish", "latest")
    assert (code, result["champion"]) == (0, None)
    assert "published, not promoted" in said
    assert "two promotions at once could both win" in said
    assert call(careless, "pull", store.version, home="other")[0] == 0
    code, result, said = call(careless, "promote", store.version)
    assert (code, result, len(said.splitlines())) == (1, None, 1)
    assert "If-None-Match: 4 of 4 writers at once won, expected 1" in said
    reach(monkeypatch, careless)
    assert {key.removeprefix(f"{uri}/").split("/")[0] for key in s3.keys(uri)} == {"models"}


def test_a_champion_made_elsewhere_is_not_changed_where_two_could_win(call, careless, whole, uri, monkeypatch):
    """The proof is of one endpoint: of two at once through another that ignores conditions, nobody is told they won."""
    assert call(whole.env, "publish", "latest")[0] == 0
    reach(monkeypatch, careless)
    registry = Registry(uri)
    standing = registry.pointer.read()
    assert standing[0].proved_at == whole.url

    def crown(reason):
        with pytest.raises(UnsupportedError, match="two promotions at once could both win"):
            registry.pointer.crown("another", standing, reason)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(crown, ("one", "two")))
    assert registry.pointer.read() == standing


def test_conditional_writes_are_proved_once_for_a_prefix_and_an_endpoint(call, whole, store, uri, monkeypatch):
    """The second promotion races for nothing."""
    assert call(whole.env, "publish", "latest")[0] == 0
    reach(monkeypatch, whole.env)
    registry = Registry(uri)
    monkeypatch.setattr("fraud.remote.conditions.find_problem", lambda *_: pytest.fail("proved again"))
    assert registry.pointer.crown("another", registry.pointer.read(), "again").generation == 2


def test_a_server_that_refuses_checksum_headers_is_told_of(call, strict, tmp_path):
    """One line names the two variables, whichever upload met it."""
    for arguments in (("publish", "latest"), ("data", "push", write_sample(tmp_path))):
        code, result, said = call(strict, *arguments)
        assert (code, result) == (1, None)
        assert "AWS_REQUEST_CHECKSUM_CALCULATION=when_required and AWS_RESPONSE_CHECKSUM_VALIDATION" in said
        assert "Unsupported header received" in said.splitlines()[-1]


def test_without_checksum_headers_all_of_it_works(call, strict, store, uri, tmp_path, monkeypatch):
    """With boto3's two variables a model is published, promoted and pulled, and data and large files go and come."""
    env = strict | OFF
    code, result, said = call(env, "publish", "latest")
    assert (code, result and result["champion"]) == (0, store.version), said
    assert call(env, "promote", "latest")[0] == 0
    assert call(env, "pull", "champion", home="other")[0] == 0
    path = write_sample(tmp_path)
    assert call(env, "data", "push", path)[0] == 0
    assert call(env, "data", "pull", tmp_path / "down")[0] == 0
    assert (tmp_path / "down" / path.name).read_bytes() == path.read_bytes()
    reach(monkeypatch, env)
    big = tmp_path / "big"
    big.write_bytes(os.urandom(20_000_000))
    s3.upload(big, f"{uri}/big")
    s3.download(f"{uri}/big", tmp_path / "back", sha256=s3.file_sha256(big))
