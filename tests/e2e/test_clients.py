"""Clients that others use call every endpoint: BentoML's own, one generated from ``/docs.json``, and Java's."""

import asyncio
import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import bentoml
import httpx
import pytest
from bentoml.exceptions import BentoMLException, InvalidArgument

from fraud import keys
from tests.components import require
from tests.e2e.conftest import REPOSITORY
from tests.ulb import COLUMNS

pytestmark = pytest.mark.e2e

SAMPLE_FILE = REPOSITORY / "sample_transaction.json"
SAMPLE = json.loads(SAMPLE_FILE.read_text())
WRONG = SAMPLE | {COLUMNS[0]: -1}


@dataclass(frozen=True)
class Api:
    """A server that wants a key and keeps labels."""

    url: str
    key: str
    version: str

    @property
    def operations(self):
        """Method and path of each of its operations, by operation id."""
        paths = httpx.get(f"{self.url}/docs.json", trust_env=False).json()["paths"]
        return {
            told["operationId"]: (method.upper(), path)
            for path, every in paths.items()
            for method, told in every.items()
        }


@pytest.fixture(scope="module")
def api(start, store, tmp_path_factory):
    key, digest = keys.make()
    database = tmp_path_factory.mktemp("labels") / "fraud.sqlite"
    server = start(FRAUD_API_KEYS=digest, FRAUD_DATABASE_URL=f"sqlite:///{database}")
    return Api(server.url, key, store.version)


def test_bentomls_client_calls_every_method(api):
    """Scores, labels and a batch; what is refused is raised as BentoML's exception of its status, with our words."""
    with bentoml.SyncHTTPClient(api.url, token=api.key) as client:
        assert client.predict(SAMPLE)["model_version"] == api.version
        answers = client.predict_batch({"transactions": [SAMPLE, SAMPLE | {"transaction_id": "b-1"}]})["predictions"]
        assert [answer.get("transaction_id") for answer in answers] == [None, "b-1"]
        label = {"transaction_id": "b-1", "is_fraud": False}
        assert client.feedback(label) == label
        with pytest.raises(InvalidArgument, match=f"{COLUMNS[0]} should be greater"):
            client.predict(WRONG)
        assert set(client.endpoints) == {"predict", "predict_batch", "feedback"}
    with bentoml.SyncHTTPClient(api.url) as client, pytest.raises(BentoMLException, match="a key is needed") as raised:
        client.predict(SAMPLE)
    assert raised.value.error_code == 401


def test_bentomls_asynchronous_client_calls_every_method(api):
    """The same by ``AsyncHTTPClient``, many calls at once."""

    async def call():
        async with bentoml.AsyncHTTPClient(api.url, token=api.key) as client:
            scored = await asyncio.gather(*(client.predict(SAMPLE | {"transaction_id": f"a-{n}"}) for n in range(20)))
            assert [answer["transaction_id"] for answer in scored] == [f"a-{number}" for number in range(20)]
            assert len((await client.predict_batch({"transactions": [SAMPLE]}))["predictions"]) == 1
            assert (await client.feedback({"transaction_id": "a-1", "is_fraud": True}))["is_fraud"] is True
            with pytest.raises(InvalidArgument, match="transactions should hold at least one"):
                await client.predict_batch({"transactions": []})

    asyncio.run(call())


@pytest.fixture(scope="module")
def generated(api, tmp_path_factory):
    """The package that openapi-python-client makes of the document, imported: its client, models and operations."""
    folder = tmp_path_factory.mktemp("generated")
    command = [require("openapi-python-client"), "generate", "--url", f"{api.url}/docs.json", "--fail-on-warning"]
    told = ["--meta", "none", "--output-path", folder / "fraud_client"]
    path = os.pathsep.join([str(Path(require("ruff")).parent), os.environ["PATH"]])  # it formats what it made
    env = {**os.environ, "PATH": path, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    done = subprocess.run([*command, *told], capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        package = folder / "fraud_client"
        paths = [path for path in package.glob("api/*/*.py") if path.stem != "__init__"]
        names = {path.stem: ".".join(path.relative_to(folder).with_suffix("").parts) for path in paths}
        operations = {name: importlib.import_module(module) for name, module in names.items()}
        models = importlib.import_module("fraud_client.models")
        yield SimpleNamespace(package=importlib.import_module("fraud_client"), models=models, operations=operations)
    for name in [name for name in sys.modules if name.split(".")[0] == "fraud_client"]:
        del sys.modules[name]


def test_a_generated_client_calls_every_operation(api, generated):
    """Each operation has a function of its id, and answers with a model, or text, of the status 200."""
    models, operations = generated.models, generated.operations
    assert set(operations) == set(api.operations)
    transaction = models.Transaction.from_dict(SAMPLE | {"transaction_id": "g-1"})
    bodies = {
        "predict": transaction,
        "predict_batch": models.Transactions([transaction, models.Transaction.from_dict(SAMPLE)]),
        "feedback": models.Label("g-1", is_fraud=True),
    }
    client = generated.package.AuthenticatedClient(api.url, api.key, raise_on_unexpected_status=True)
    with client:
        body = lambda name: {"body": bodies[name]} if name in bodies else {}  # noqa: E731
        answers = {name: call.sync_detailed(client=client, **body(name)) for name, call in operations.items()}
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(operations, 200)
    parsed = {name: answer.parsed for name, answer in answers.items()}
    assert isinstance(parsed["predict"], models.Prediction)
    assert parsed["predict"].transaction_id == "g-1"
    assert [type(one) for one in parsed["predict_batch"].predictions] == [models.Prediction] * 2
    assert parsed["feedback"] == bodies["feedback"]
    assert parsed["get_model"].model_version == api.version
    assert "fraud_score" in parsed["get_metrics"]
    assert all(parsed.values())


def test_a_generated_client_gets_errors_as_models(api, generated):
    """What is refused comes as the model of errors, with the field at fault; without a key it is refused as well."""
    models, predict = generated.models, generated.operations["predict"]
    body = models.Transaction.from_dict(WRONG)
    with generated.package.AuthenticatedClient(api.url, api.key) as client:
        refused = predict.sync_detailed(client=client, body=body)
    assert (refused.status_code, [one.field for one in refused.parsed.details]) == (400, [COLUMNS[0]])
    with generated.package.Client(api.url) as client:
        refused = predict.sync_detailed(client=client, body=body)
    assert refused.status_code == 401
    assert isinstance(refused.parsed, models.Error)
    assert refused.headers["www-authenticate"] == "Bearer"


@pytest.fixture(scope="module")
def java(api):
    """The lines of ApiClient.java: call, status, media type, version of HTTP, body."""
    java = Path(require("javac")).with_name("java")  # which needs the compiler to run a source file
    command = [java, REPOSITORY / "tests" / "e2e" / "ApiClient.java", api.url, api.key, SAMPLE_FILE]
    env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_javas_client_calls_every_operation(api, java):
    """Java offers HTTP/2 with its first call; each call is answered over HTTP/1.1 as the document says."""
    calls = [f"{method} {path}" for method, path in api.operations.values()]
    answered = {call for call, status, *_ in java if status == "200"}
    assert answered == set(calls)
    assert {version for _, _, _, version, _ in java} == {"HTTP_1_1"}
    first = dict(zip(("call", "status", "type", "version", "body"), java[0], strict=True))
    assert json.loads(first["body"])["transaction_id"] == "java-1"


def test_javas_client_gets_errors_and_calls_at_once(java):
    """A refused call and one without a key have their status and shape; of 64 calls at once each is answered."""
    refused = [(call, status, json.loads(body).keys()) for call, status, _, _, body in java if status != "200"]
    shape = {"error", "details"}
    assert refused == [("POST /predict", "400", shape), ("GET /model", "401", shape)]
    assert len([call for call, status, *_ in java if (call, status) == ("POST /predict", "200")]) == 65
