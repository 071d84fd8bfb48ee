"""A bucket set up, filled and removed on a real S3 server, which lacks some of what AWS has."""

import argparse
import contextlib
import json
import os
import re
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from fraud import command
from fraud.errors import RegistryError
from fraud.remote import datasets, s3
from fraud.schema import default
from tests.components import SeaweedFS
from tests.e2e.conftest import BUCKET, run
from training import data
from training.aws import bucket
from training.aws.iam import access
from training.console import Steps
from training.simulate import SimulationPlan, simulate
from training.verbs import bucket as verbs

pytestmark = pytest.mark.e2e

BLOCK = "public_access_block"
RULES = {"fraud-noncurrent:fraud/", "fraud-uploads:fraud/"}
LIMITED = {"AWS_ACCESS_KEY_ID": "limited", "AWS_SECRET_ACCESS_KEY": "limited-secret"}
TRAINING = [sys.executable, "-m", "training"]


class OwnServer(SeaweedFS):
    """With a key to encrypt with, and a second user who may do nothing but what a bucket's policy grants."""

    def _command(self, folder):
        weed = super()._command(folder)
        document = json.loads((folder / "s3.json").read_text())
        keys = {"accessKey": LIMITED["AWS_ACCESS_KEY_ID"], "secretKey": LIMITED["AWS_SECRET_ACCESS_KEY"]}
        document["identities"].append({"name": "limited", "credentials": [keys], "actions": []})
        (folder / "s3.json").write_text(json.dumps(document))
        return ["env", "WEED_S3_SSE_KEY=of the test's own", *weed]


@pytest.fixture(scope="module")
def own_server(tmp_path_factory):
    with OwnServer(tmp_path_factory.mktemp("own")) as server:
        yield server


def use(monkeypatch, env):
    """Reach S3 so from here on."""
    for variable, value in env.items():
        monkeypatch.setenv(variable, value)


def grant(server, name, policy):
    """What the policy grants a role is granted to everybody by the bucket."""
    statements = [{**statement, "Principal": {"AWS": ["*"]}} for statement in policy["Statement"]]
    client = server.client()
    with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=name)
    client.put_bucket_policy(Bucket=name, Policy=json.dumps({**policy, "Statement": statements}))
    client.close()


@pytest.fixture(autouse=True)
def reach_s3(s3, monkeypatch):
    use(monkeypatch, s3.env)


@pytest.fixture
def client(s3):
    with_keys = s3.client()
    yield with_keys
    with_keys.close()


@pytest.fixture
def name(monkeypatch, client):
    """A bucket that is not there yet, named by FRAUD_S3_URI; it is removed at the end."""
    made_up = f"cards-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("FRAUD_S3_URI", f"s3://{made_up}/fraud")
    yield made_up
    with contextlib.suppress(client.exceptions.NoSuchBucket):
        client.delete_bucket(Bucket=made_up)


@pytest.fixture
def call(capsys):
    """Runs ``bucket ARGUMENTS``: exit code, parsed stdout (None when empty) and stderr."""

    def answer(*arguments):
        parser = argparse.ArgumentParser()
        verbs.add_to(parser.add_subparsers())
        code = command.main(parser, ["bucket", *arguments])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else None, said.err

    return answer


def fill(client, name):
    """Six versions of two objects, a delete marker and an unfinished upload, all below fraud/."""
    for number in range(5):
        client.put_object(Bucket=name, Key="fraud/champion.json", Body=b"%d" % number)
    client.put_object(Bucket=name, Key="fraud/dataset/old.csv", Body=b"x")
    client.delete_object(Bucket=name, Key="fraud/dataset/old.csv")
    client.create_multipart_upload(Bucket=name, Key="fraud/models/1/model.bentomodel")


def test_protections_that_the_server_lacks_are_named(call, client, name):
    """Exit 1 unless --allow-missing; what the server has is set, and objects can still be written."""
    code, result, said = call("create")
    assert code == 1
    assert (result["bucket"], result["created"]) == (f"s3://{name}", True)
    assert result["holds"] == ["versioning", "lifecycle", "conditional_writes"]
    assert result["missing"][BLOCK] == "the server does not implement it (NotImplemented)"
    assert result["missing"]["encryption"].endswith(
        "no object can be written (InternalError); the setting was taken back"
    )
    assert f"error: s3://{name} lacks {BLOCK}, encryption; --allow-missing accepts that" in said
    assert client.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    client.put_object(Bucket=name, Key="fraud/x", Body=b"works")


def test_create_runs_again_safely(call, client, name):
    """The second time nothing is made, rules of others are kept, and no trace of the trial object is left."""
    assert call("create", "--allow-missing")[:2][0] == 0
    other = {"ID": "other", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}}
    rules = client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [*rules, other]})
    code, result, _ = call("create", "--allow-missing", "--noncurrent-days", "30")
    assert (code, result["created"], result["holds"]) == (0, False, ["versioning", "lifecycle", "conditional_writes"])
    rules = {rule["ID"]: rule for rule in client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]}
    assert set(rules) == RULES | {"other"}
    assert rules["fraud-noncurrent:fraud/"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert rules["fraud-uploads:fraud/"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert bucket.contents(f"s3://{name}").described() == "0 versions, 0 delete markers, 0 unfinished uploads"


def test_encryption_holds_where_the_server_has_a_key(call, name, own_server, monkeypatch):
    """The trial object comes back encrypted and leaves no version behind; the second run changes nothing."""
    use(monkeypatch, own_server.env)
    for created in (True, False):
        code, result, _ = call("create", "--allow-missing")
        assert (code, result["created"]) == (0, created)
        assert result["holds"] == ["versioning", "encryption", "lifecycle", "conditional_writes"]
        assert list(result["missing"]) == [BLOCK]
    assert bucket.contents(f"s3://{name}").versions == 0
    s3.put(f"s3://{name}/fraud/x.json", {})
    assert own_server.client().head_object(Bucket=name, Key="fraud/x.json")["ServerSideEncryption"] == "AES256"


def test_the_policy_is_enough_for_training(own_server, store, tmp_path, monkeypatch):
    """One who may do only what it grants runs every kind of call that we have: a multipart upload too."""
    uri = "s3://granted/fraud"
    grant(own_server, "granted", access(uri))
    use(monkeypatch, own_server.env | LIMITED)
    simulate(uri, SimulationPlan(["sample:8000"], protocol="time", slices=2), Steps())
    simulate(uri, SimulationPlan(["sample:8000"], protocol="time"), Steps(), replace=True)
    assert s3.get(f"{uri}/champion.json") is None
    published = run([*TRAINING, "publish", "latest"], {**store.env, **own_server.env, **LIMITED, "FRAUD_S3_URI": uri})
    assert json.loads(published)["champion"] == store.version
    _, etag = s3.get(f"{uri}/champion.json")
    s3.put(f"{uri}/champion.json", {}, replacing=etag)
    big = tmp_path / "big"
    big.write_bytes(os.urandom(20_000_000))
    s3.upload(big, f"{uri}/big")
    s3.download(f"{uri}/big", tmp_path / "down", sha256=s3.file_sha256(big))
    assert s3.folders(f"{uri}/models") == [store.version]


def test_the_read_only_policy_is_enough_for_serving(own_server, store, tmp_path, monkeypatch):
    """The champion is pulled; nothing can be written or deleted."""
    uri = "s3://readable/fraud"
    env = own_server.env | {"BENTOML_HOME": str(tmp_path), "FRAUD_S3_URI": uri}
    own_server.make_bucket("readable")
    run([*TRAINING, "publish", "latest"], store.env | own_server.env | {"FRAUD_S3_URI": uri})
    grant(own_server, "readable", access(uri, read_only=True))
    assert json.loads(run([*TRAINING, "pull", "champion"], os.environ | env | LIMITED))["tag"].endswith(store.version)
    use(monkeypatch, own_server.env | LIMITED)
    for forbidden in (lambda: s3.put(f"{uri}/x", {}), lambda: s3.delete([f"{uri}/champion.json"])):
        with pytest.raises(RegistryError, match="access denied"):
            forbidden()


@pytest.mark.parametrize("read_only", [False, True])
def test_the_policy_opens_nothing_beside_the_prefix(own_server, monkeypatch, read_only):
    """Other objects of the bucket can be neither listed, read, written nor deleted."""
    held = own_server.make_bucket(f"shared-{uuid.uuid4().hex[:8]}")
    use(monkeypatch, own_server.env)
    s3.put(f"s3://{held}/fraud-of-others/x", {})
    grant(own_server, held, access(f"s3://{held}/fraud", read_only=read_only))
    use(monkeypatch, own_server.env | LIMITED)
    other = f"s3://{held}/fraud-of-others/x"
    for forbidden in (
        lambda: s3.keys(f"s3://{held}/"),
        lambda: s3.keys(other),
        lambda: s3.get(other),
        lambda: s3.put(other, {}),
        lambda: s3.delete([other]),
        lambda: bucket.destroy(f"s3://{held}", lambda _: None),
    ):
        with pytest.raises(RegistryError, match="access denied"):
            forbidden()


def test_destroy_removes_every_version(call, client, name):
    """Counts what went, prints how to remove the rest, and the bucket is gone."""
    call("create", "--allow-missing")
    fill(client, name)
    code, result, said = call("destroy", "--yes")
    assert code == 0, said
    assert result["deleted"] == {"versions": 6, "delete_markers": 1, "uploads": 1}
    assert "aws iam delete-user --user-name fraud-training" in result["then_remove"]["user fraud-training"]
    assert name not in [found["Name"] for found in client.list_buckets()["Buckets"]]
    code, _, said = call("destroy", "--yes")
    assert (code, said) == (1, f"error: s3://{name}: the bucket does not exist\n")


def test_emptying_leaves_nothing(call, client, name):
    """This server deletes a bucket with versions in it and AWS does not, so the emptying is looked at by itself."""
    call("create", "--allow-missing")
    fill(client, name)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: client.put_object(Bucket=name, Key=f"fraud/{number % 40}", Body=b""), range(1001)))
    told = []
    bucket._empty(client, name, told.append)
    assert told == [1000, 1008]
    assert bucket.contents(f"s3://{name}").described() == "0 versions, 0 delete markers, 0 unfinished uploads"


def test_a_bucket_that_holds_other_things_is_not_destroyed(call, client, name):
    """Not even with --yes, not even when only an old version or an upload is left of them; nothing is deleted."""
    call("create", "--allow-missing")
    fill(client, name)
    client.put_object(Bucket=name, Key="payroll/2026.csv", Body=b"x")
    client.delete_object(Bucket=name, Key="payroll/2026.csv")
    client.create_multipart_upload(Bucket=name, Key="photos/big")
    before = bucket.contents(f"s3://{name}")
    code, result, said = call("destroy", "--yes")
    assert (code, result) == (1, None)
    assert f"also holds what is not below s3://{name}/fraud: payroll/2026.csv, photos/big;" in said
    assert bucket.contents(f"s3://{name}") == before


def test_destroy_asks_first(call, client, name):
    """Without a terminal and without --yes it is a stated error, and the bucket stays as it is."""
    call("create", "--allow-missing")
    fill(client, name)
    code, result, said = call("destroy")
    assert (code, result) == (1, None)
    assert "--yes" in said
    assert len(said.splitlines()) == 1
    assert bucket.contents(f"s3://{name}/fraud").versions == 6


@pytest.mark.parametrize("verb", [("create",), ("destroy", "--yes")])
@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9", "Could not connect"),
        ("AWS_ACCESS_KEY_ID", "nobody", "the name is somebody else's|the access key is unknown"),
    ],
)
def test_failures_are_stated(call, name, monkeypatch, verb, variable, value, words):
    """One line, exit 1."""
    use(monkeypatch, {variable: value})
    code, result, said = call(*verb)
    assert (code, result, len(said.splitlines())) == (1, None, 1)
    assert re.search(words, said)


def test_a_simulated_data_set_is_pulled_and_trained_on(tmp_path):
    """Checksum files are no data, pulled files are the same data, and a model of generated rows says that it is."""
    uri = f"s3://{BUCKET}/simulated"
    result = simulate(uri, SimulationPlan(["sample:8000"], protocol="time", slices=2), Steps())
    env = {**os.environ, "BENTOML_HOME": str(tmp_path / "home")}
    train = [*TRAINING, "run", "--data", f"{uri}/dataset/", "--trees", "5"]
    trained = json.loads(run(train, env))
    assert (trained["data"]["rows"], trained["synthetic"]) == (8000, True)
    pulled = datasets.pull(uri, tmp_path / "down")["files"]
    assert {file["sha256"] for file in pulled} == {part["sha256"] for part in (result["base"], *result["increments"])}
    assert data.load([file["path"] for file in pulled], default()).fingerprint == trained["data"]["fingerprint"]


def test_a_simulation_is_replaced_on_request_only():
    """The second needs --replace, which removes increments that the new one does not have."""
    uri = f"s3://{BUCKET}/replaced"
    simulate(uri, SimulationPlan(["sample:8000"], protocol="time", slices=2), Steps())
    with pytest.raises(RegistryError, match="--replace"):
        simulate(uri, SimulationPlan(["sample:8000"], protocol="time"), Steps())
    simulate(uri, SimulationPlan(["sample:8000:1"], protocol="time"), Steps(), replace=True)
    assert [key.removeprefix(f"{uri}/dataset/") for key in s3.keys(f"{uri}/dataset/")] == [
        "base.parquet",
        "base.parquet.sha256.json",
        "new/0001.parquet",
        "new/0001.parquet.sha256.json",
    ]
