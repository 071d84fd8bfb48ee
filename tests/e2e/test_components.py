"""The real components behave as the other e2e tests take for granted."""

import hashlib
import subprocess
import sys
import time
from base64 import b64encode

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tests.components import (
    ComponentError,
    Process,
    Prometheus,
    SeaweedFS,
    answers,
    free_port,
    free_ports,
    wait_until,
)

pytestmark = pytest.mark.e2e

SCRAPE = """
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: other
    file_sd_configs: [{files: [targets/service.yml]}]
"""


@pytest.fixture(scope="module")
def seaweedfs(tmp_path_factory):
    with SeaweedFS(tmp_path_factory.mktemp("s3")) as server:
        server.make_bucket("first")
        yield server


@pytest.fixture
def client(seaweedfs):
    client = seaweedfs.client()
    yield client
    client.close()


def refusal(call, **arguments):
    """The HTTP status that S3 refuses a call with."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_a_create_only_put_is_refused_when_the_object_exists(client):
    """If-None-Match: * writes once."""
    put = {"Bucket": "first", "Key": "once", "IfNoneMatch": "*"}
    client.put_object(Body=b"mine", **put)
    assert refusal(client.put_object, Body=b"theirs", **put) == 412
    assert client.get_object(Bucket="first", Key="once")["Body"].read() == b"mine"


def test_a_compare_and_swap_put_is_refused_after_somebody_elses_write(client):
    """If-Match with the ETag read before writes only over what was read."""
    place = {"Bucket": "first", "Key": "pointer"}
    etag = client.put_object(Body=b"generation 1", **place)["ETag"]
    client.put_object(Body=b"generation 2", IfMatch=etag, **place)
    assert refusal(client.put_object, Body=b"also 2", IfMatch=etag, **place) == 412
    assert client.get_object(**place)["Body"].read() == b"generation 2"


def test_an_upload_that_does_not_match_its_checksum_is_refused(client):
    """SHA-256 checksums are verified, not stored blindly."""
    right, wrong = (b64encode(hashlib.sha256(text).digest()).decode() for text in (b"body", b"other"))
    put = {"Bucket": "first", "Key": "checked", "Body": b"body"}
    client.put_object(ChecksumSHA256=right, **put)
    assert refusal(client.put_object, ChecksumSHA256=wrong, **put) == 400


def test_the_environment_alone_is_enough_for_boto3(seaweedfs, monkeypatch):
    """A child process given ``env`` reaches this server and no other."""
    for name, value in seaweedfs.env.items():
        monkeypatch.setenv(name, value)
    client = boto3.Session().client("s3")
    assert "first" in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    client.close()


def test_a_wrong_secret_is_refused(seaweedfs):
    """Signatures are checked."""
    keys = {"aws_access_key_id": seaweedfs.env["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": "wrong"}
    client = boto3.client("s3", endpoint_url=seaweedfs.url, region_name="us-east-1", **keys)
    assert refusal(client.list_objects_v2, Bucket="first") == 403
    client.close()


def test_objects_survive_an_outage_of_s3(seaweedfs, client):
    """Down means refused connections; up again on the same folder and port, with what was written."""
    client.put_object(Bucket="first", Key="kept", Body=b"still here")
    seaweedfs.stop()
    assert not answers(f"{seaweedfs.url}/healthz")
    with pytest.raises(EndpointConnectionError):
        client.get_object(Bucket="first", Key="kept")
    seaweedfs.start()
    assert client.get_object(Bucket="first", Key="kept")["Body"].read() == b"still here"


def test_prometheus_scrapes_and_answers_queries(tmp_path):
    """A target given in the config is up, and its series can be asked for."""
    (tmp_path / "beside" / "targets").mkdir(parents=True)
    folders = [tmp_path / "one", tmp_path / "two"]
    with (
        Prometheus(SCRAPE, folders[0], tmp_path / "beside", []) as other,
        Prometheus(SCRAPE, folders[1], tmp_path / "beside", [other.port]) as prometheus,
    ):
        [sample] = wait_until(lambda: prometheus.query('up{job="other"} == 1'))
        assert sample["metric"]["instance"] == f"127.0.0.1:{other.port}"
        assert [target["health"] for target in prometheus.targets()] == ["up"]


def test_a_component_that_dies_at_start_shows_its_log(tmp_path):
    """The error carries what the process said last, without waiting for the limit."""
    process = Process("broken", [sys.executable, "-c", "raise SystemExit('no such model')"], tmp_path)
    with pytest.raises(ComponentError, match=r"(?s)broken ended with exit code 1.*no such model"):
        process.start(lambda: False, seconds=30)


def test_a_component_that_never_gets_ready_is_stopped(tmp_path):
    """The wait ends at its limit and the process is gone."""
    process = Process("asleep", [sys.executable, "-c", "import time; time.sleep(60)"], tmp_path)
    with pytest.raises(ComponentError, match=r"was not ready within 0\.3 s"):
        process.start(lambda: False, seconds=0.3)
    assert process.exit_code is not None


def test_a_stop_reaches_children_in_process_groups_of_their_own(tmp_path):
    """Workers that lead their own session die with a parent that ignores SIGTERM."""
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "child = subprocess.Popen(['sleep', '60'], start_new_session=True);"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    process = Process("parent", [sys.executable, "-c", code], tmp_path)
    process.start(lambda: process.log() != "", seconds=10)
    child = psutil.Process(int(process.log()))
    started = time.monotonic()
    assert process.stop(grace_seconds=0.2) == -9
    assert time.monotonic() - started < 5
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_free_ports_are_free_and_different():
    """Two components never get the same port in one call."""
    assert len(set(free_ports(20))) == 20
    assert not answers(f"http://127.0.0.1:{free_port()}/")


def test_a_missing_component_is_named_with_how_to_install_it(tmp_path):
    """E2E_REQUIRE_ALL=1 turns a skipped test into a failed one."""
    test = tmp_path / "test_it.py"
    test.write_text("from tests.components import require\ndef test_it(): require('no-such-binary')\n")
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", test]
    outcomes = {}
    for value in ("", "1"):
        env = {"E2E_REQUIRE_ALL": value}
        outcomes[value] = subprocess.run(command, env=env, capture_output=True, text=True)
    assert "1 skipped" in outcomes[""].stdout
    assert "no-such-binary is not there: install no-such-binary" in outcomes[""].stdout
    assert "1 failed" in outcomes["1"].stdout
