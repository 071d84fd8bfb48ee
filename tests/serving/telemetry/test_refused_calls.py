"""A line for a refused call: short, clean, and never so many that they fill a disk."""

import asyncio
import logging

import pytest

from serving.telemetry.log_lines import JsonLines
from serving.telemetry.refused_calls import LONGEST_PATH, RefusedCalls, printable


@pytest.fixture(autouse=True)
def heard(caplog):
    caplog.set_level(logging.INFO, "bentoml.fraud.refused")
    return caplog


def scope(path="/predict", method="POST"):
    return {"method": method, "path": path, "client": ("10.0.0.9", 4711)}


def test_the_line_says_all_there_is_to_know(heard):
    """Method, path, status, reason and client in its words; the id goes with it."""
    RefusedCalls().note(scope(), 400, "invalid", "id-1")
    [record] = heard.records
    assert record.getMessage() == "refused POST /predict: 400 invalid, client 10.0.0.9:4711"
    line = JsonLines().format(record)
    for part in ('"request_id": "id-1"', '"status": 400', '"reason": "invalid"', '"path": "/predict"'):
        assert part in line


@pytest.mark.parametrize("code", [*range(0x20), 0x7F, 0x85, 0x9B, 0x200B, 0x2028, 0x202E, 0xFEFF])
def test_what_would_end_the_line_or_steer_a_terminal_is_not_said(code):
    """Control characters, separators of lines, marks that turn the direction of writing."""
    assert printable(f"/a{chr(code)}b") == "/a?b"


def test_a_long_path_is_cut(heard):
    """A head may have 64 KiB."""
    RefusedCalls().note(scope("/" + "x" * 60_000), 404, "malformed", "id")
    assert len(heard.records[0].getMessage()) < LONGEST_PATH + 80


def test_more_than_so_many_are_counted_and_told_together(heard):
    """Two in the window are said, 998 at its end as a number; then lines are said again."""

    async def attack():
        refused = RefusedCalls(lines=2, seconds=0.05)
        for _ in range(1000):
            refused.note(scope(), 401, "unauthorized", "id")
        told = len(heard.records)
        for _ in range(1000):
            await asyncio.sleep(0.01)
            if len(heard.records) > told:
                break
        refused.note(scope(), 401, "unauthorized", "id")
        return told

    assert asyncio.run(attack()) == 2
    said = [record.getMessage() for record in heard.records]
    assert said[2] == "998 more calls were refused, which were not said one by one"
    assert said[3].startswith("refused POST /predict: 401")
    assert len(said) == 4


def test_a_caller_without_an_address_is_said_too(heard):
    """As behind a socket of the file system."""
    RefusedCalls().note({**scope(), "client": None}, 401, "unauthorized", "id")
    assert heard.records[0].getMessage().endswith("client ?:?")
