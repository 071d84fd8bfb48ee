"""Dear pages are made once for all who ask."""

import asyncio
import math
from typing import Any

import pytest

from serving.edge import Receive, Scope, Send
from serving.remembered import Remembered


class Pages:
    """An application that counts what it makes, and lets others run while it does."""

    def __init__(self, status: int = 200) -> None:
        self.made = 0
        self.status = status

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        self.made += 1
        await asyncio.sleep(0)
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"page %d" % self.made})


def ask(app: Remembered, path: str, method: str = "GET", times: int = 1) -> list[list[Any]]:
    async def one() -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        await app({"type": "http", "path": path, "method": method, "headers": []}, receive, send)
        return sent

    async def every() -> list[list[Any]]:
        return await asyncio.gather(*(one() for _ in range(times)))

    return asyncio.run(every())


def test_calls_that_come_together_get_one_page() -> None:
    pages = Pages()
    answers = ask(Remembered(pages, {"/docs.json": math.inf}), "/docs.json", times=64)
    assert pages.made == 1
    assert all(sent[-1]["body"] == b"page 1" for sent in answers)


def test_a_page_is_made_anew_when_its_time_is_over() -> None:
    pages = Pages()
    assert len(ask(Remembered(pages, {"/metrics": 0.0}), "/metrics", times=3)) == 3
    assert pages.made == 3


@pytest.mark.parametrize(("path", "method"), [("/predict", "POST"), ("/docs.json", "HEAD"), ("/model", "GET")])
def test_other_calls_are_left_alone(path: str, method: str) -> None:
    pages = Pages()
    ask(Remembered(pages, {"/docs.json": math.inf}), path, method, times=2)
    assert pages.made == 2


def test_a_failure_is_not_remembered() -> None:
    pages = Pages(status=500)
    ask(Remembered(pages, {"/docs.json": math.inf}), "/docs.json", times=2)
    assert pages.made == 2
