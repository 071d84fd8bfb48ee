"""What is switched off says so, and the first page has a policy that lets in what is ours alone."""

import asyncio
import re
from base64 import b64encode
from hashlib import sha256

import httpx

from serving.pages import pages


class Made:
    """What makes the document, and how often it did."""

    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1
        return {"openapi": "3.1.0"}


def ask(method, *paths, made=None):
    async def every():
        transport = httpx.ASGITransport(pages(lambda: None, made or Made()))
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
