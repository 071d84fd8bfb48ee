"""What is switched off says so; the model card tells nobody more than he needs; the first page lets in what is ours."""

import asyncio
import re
from base64 import b64encode
from hashlib import sha256
from types import SimpleNamespace

import httpx
import pytest

from fraud.features import of_default
from fraud.manifest import Manifest
from fraud.store import Served
from serving.pages import card, pages
from tests import manifests


class Made:
    """What makes the document, and how often it did."""

    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1
        return {"openapi": "3.1.0"}


def ask(method, *paths, model=None, made=None, **settings):
    async def every():
        transport = httpx.ASGITransport(pages(lambda: model, made or Made(), **settings))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return [await client.request(method, path) for path in paths]

    return asyncio.run(every())


def test_feedback_without_keys_or_database_says_what_is_missing():
    (answer,) = ask("POST", "/feedback")
    assert answer.status_code == 404
    assert "FRAUD_DATABASE_URL" in answer.json()["error"]
    assert "FRAUD_API_KEYS" in answer.json()["error"]


def test_the_model_card_without_a_model_says_that_there_is_none():
    (answer,) = ask("GET", "/model")
    assert answer.status_code == 503
    assert "no model is ready" in answer.json()["error"]


def test_the_document_is_made_once():
    """When it is asked for first, whoever asks and however often."""
    made = Made()
    answers = ask("GET", "/docs.json", "/docs.json", made=made)
    assert [answer.json() for answer in answers] == [{"openapi": "3.1.0"}] * 2
    assert made.times == 1


def test_the_first_page_lets_in_what_is_ours_alone():
    """The policy names no other host and nothing unsafe, and the inline script by its hash."""
    (page,) = ask("GET", "/")
    policy = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    (inline,) = re.findall(r"<script>(.*?)</script>", page.text, re.S)
    digest = b64encode(sha256(inline.encode()).digest()).decode()
    assert policy["script-src"] == f"'self' 'sha256-{digest}'"
    assert set(" ".join(policy.values()).split()) == {"'self'", "'none'", "data:", f"'sha256-{digest}'"}


@pytest.fixture
def model():
    """One whose manifest holds what nobody outside needs to know."""
    data = {"sources": ["/home/ann/secret.csv", "s3://bucket/base.parquet"], "rows": 10, "frauds": 1}
    manifest = Manifest(
        **manifests.document(
            git_revision="0123456789abcdef",
            versions={"numpy": "9.8.7"},
            data=data | {"duplicates_dropped": 0, "fingerprint": "f" * 64},
        )
    )
    return Served("v1", SimpleNamespace(engine="kernel"), manifest, of_default())


def test_without_keys_the_card_tells_the_least_that_is_of_use(model):
    """Name, version, age, threshold and figures with their intervals; nothing of data, code, libraries or machine."""
    told = card(model, whole=False)
    assert set(told) == {"name", "model_version", "created_at", "synthetic", "threshold", "metrics"}
    assert told["name"] == "fraud_detector"
    assert told["model_version"] == model.manifest.model_version
    assert set(told["metrics"]) == {"average_precision", "roc_auc", "precision", "recall"}
    assert all(set(figure) == {"value", "low", "high"} for figure in told["metrics"].values())


def test_with_keys_the_card_tells_all_but_where_the_data_lay(model):
    """Who brought a key sees of what the model was made and how; paths and buckets are told to nobody."""
    told = card(model, whole=True)
    left_out = {"profile", "files", "key_fingerprint"}
    assert set(told) == {"name", "engine", *type(model.manifest).model_fields} - left_out
    assert told["git_revision"] == "0123456789abcdef"
    assert told["versions"] == {"numpy": "9.8.7"}
    assert set(told["data"]) == {"rows", "frauds", "duplicates_dropped", "fingerprint"}
    assert "secret.csv" not in str(told)


@pytest.mark.parametrize("keys_required", [False, True])
def test_the_card_is_whole_where_keys_are_required(model, keys_required):
    """There the Edge lets nobody come here without one."""
    (answer,) = ask("GET", "/model", model=model, keys_required=keys_required)
    assert answer.json() == card(model, whole=keys_required)
