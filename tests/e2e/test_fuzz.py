"""schemathesis makes calls of ``/docs.json``, good and bad ones, and holds each answer against it: all checks, no luck.

The same calls are made each time. Some 3,000 in all, at about 15 s of CPU.
"""

import json
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from fraud import keys
from tests.components import require

pytestmark = pytest.mark.e2e

CONFIG = Path(__file__).with_name("schemathesis.toml")
SMALL = {"FRAUD_MAX_BATCH_ROWS": "100"}
"""So that a batch with one row too many is small."""


@pytest.fixture(scope="module")
def plain(start):
    """Neither keys nor a database: no feedback."""
    return start(**SMALL)


@pytest.fixture(scope="module")
def guarded(start, tmp_path_factory):
    """A server with keys and a database, and a key."""
    key, digest = keys.make()
    database = tmp_path_factory.mktemp("labels") / "fraud.sqlite"
    return start(FRAUD_API_KEYS=digest, FRAUD_DATABASE_URL=f"sqlite:///{database}", **SMALL), key


def fuzz(document, folder, *more):
    """The report of a run on a document's address or file."""
    report = folder / "report.json"
    command = [require("schemathesis"), "--config-file", CONFIG, "run", document, "--no-color", "--checks=all"]
    told = ["--generation-deterministic", "--continue-on-failure", "--report=json", "--report-json-path", report]
    done = subprocess.run([*command, *told, *more], cwd=folder, capture_output=True, text=True, timeout=300)
    assert report.exists(), done.stdout + done.stderr
    return json.loads(report.read_text()) | {"output": done.stdout}


def assert_nothing_found(report, server):
    """Every operation was tried, all was as documented, and the server saw no defect of its own."""
    assert (report["failures"], report["errors"], report["exit_code"]) == ([], [], 0), report["output"][-5000:]
    paths = httpx.get(f"{server.url}/docs.json", trust_env=False).json()["paths"]
    assert report["operations"]["tested"] == report["operations"]["total"] == len(paths)
    assert "Traceback" not in server.log()
    metrics = httpx.get(f"{server.url}/metrics", trust_env=False).text
    assert re.findall(r'reason="internal"\} (\S+)', metrics) in ([], ["0.0"])


def test_all_answers_are_as_documented(plain, tmp_path):
    """Without keys: each of more than a thousand calls is answered with a status, headers and a body as documented."""
    report = fuzz(f"{plain.url}/docs.json", tmp_path, "--max-examples=100")
    assert_nothing_found(report, plain)
    assert report["test_cases"]["generated"] > 1000


def test_all_answers_are_as_documented_with_keys(guarded, tmp_path):
    """With a key, and without where one is needed; labels are sent for ids that were scored."""
    server, key = guarded
    key_sent = ("--header", f"Authorization: Bearer {key}")
    report = fuzz(f"{server.url}/docs.json", tmp_path, "--max-examples=100", *key_sent)
    assert_nothing_found(report, server)
    assert report["phases"]["stateful"]["status"] == "success"
    assert report["test_cases"]["generated"] > 1000


def test_a_document_that_is_not_true_is_found_out(plain, tmp_path):
    """What is tried above can fail: a field that is optional, a status that is missing, and a field never answered."""
    document = httpx.get(f"{plain.url}/docs.json", trust_env=False).json()
    schemas, paths = document["components"]["schemas"], document["paths"]
    schemas["Transaction"]["required"].pop()
    del paths["/predict_batch"]["post"]["responses"]["400"]
    schemas["ModelCard"]["required"].append("nowhere")
    file = tmp_path / "untrue.json"
    file.write_text(json.dumps(document))
    report = fuzz(file, tmp_path, "--url", plain.url, "--max-examples=5", "--phases=fuzzing", "--no-shrink")
    assert {failure["type"] for failure in report["failures"]} == {
        "RejectedPositiveData",
        "UndefinedStatusCode",
        "JsonSchemaError",
    }
