"""What is switched off says so."""

import asyncio

import httpx

from serving.pages import pages


def ask(method, path):
    async def one():
        transport = httpx.ASGITransport(pages(lambda: None))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path)

    return asyncio.run(one())


def test_feedback_without_keys_or_database_says_what_is_missing():
    answer = ask("POST", "/feedback")
    assert answer.status_code == 404
    assert "FRAUD_DATABASE_URL" in answer.json()["error"]
    assert "FRAUD_API_KEYS" in answer.json()["error"]


def test_the_model_card_without_a_model_says_that_there_is_none():
    answer = ask("GET", "/model")
    assert answer.status_code == 503
    assert "no model is ready" in answer.json()["error"]
