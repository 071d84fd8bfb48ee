"""The form of the log's lines: the process by name, the ids of the call, one object a line where that is asked for."""

import json
import logging
import sys
from datetime import UTC, datetime

import pytest

from serving import bento
from serving.telemetry import log_lines, request_id
from serving.telemetry.log_lines import JsonLines, Seldom, TextLines


def record(message="said", *arguments, level=logging.WARNING, name="bentoml.x", **more):
    made = logging.LogRecord(name, level, __file__, 1, message, arguments, more.pop("exc_info", None))
    vars(made).update(more)
    return made


@pytest.fixture
def call():
    """A call is at hand."""
    token = request_id.current.set("id-7")
    yield "id-7"
    request_id.current.reset(token)


@pytest.mark.parametrize("message", ["plain", 'with "quotes"', "two\nlines", "\x1b[31m\u2028 \ud800", "%s"])
def test_a_line_is_one_json_object(message):
    """Whatever is said, and it says what was said."""
    line = JsonLines().format(record(message) if message != "%s" else record("%s", message))
    assert "\n" not in line
    assert json.loads(line)["message"] == message


def test_time_is_utc_by_iso_8601():
    """To the millisecond."""
    made = record()
    said = datetime.fromisoformat(json.loads(JsonLines().format(made))["time"])
    assert said.utcoffset() == datetime.now(UTC).utcoffset()
    assert said.timestamp() == pytest.approx(made.created, abs=0.001)


def test_a_traceback_is_one_field():
    """With the error at its end; in text it stands below the line."""
    try:
        raise ArithmeticError("broken")
    except ArithmeticError:
        made = record(exc_info=sys.exc_info())
    line = json.loads(JsonLines().format(made))
    assert line["message"] == "said"
    assert line["traceback"].startswith("Traceback") and line["traceback"].endswith("ArithmeticError: broken")
    assert TextLines().format(made).endswith("ArithmeticError: broken")


def test_a_line_of_a_call_bears_its_id(call):
    """In both forms."""
    assert json.loads(JsonLines().format(record()))["request_id"] == call
    assert TextLines().format(record()).endswith(f"said (request_id={call})")


def test_a_line_of_no_call_bears_none():
    """Neither field nor words."""
    assert "request_id" not in json.loads(JsonLines().format(record(request_id=17)))
    assert TextLines().format(record()).endswith("] said")


@pytest.mark.parametrize(("number", "who"), [(None, "parent"), (3, "worker 3")])
def test_the_process_is_named(monkeypatch, number, who):
    """The parent of the workers, or which of them."""
    monkeypatch.setattr(bento, "worker_number", lambda: number)
    assert json.loads(JsonLines().format(record()))["process"] == who
    assert f" [WARNING] [{who}] said" in TextLines().format(record())


def test_a_command_that_is_no_server_keeps_its_log(monkeypatch):
    """As a build: BentoML set no server's log up."""
    before = sys.stdout, sys.stderr, sys.excepthook
    monkeypatch.setenv("FRAUD_LOG_FORMAT", "json")
    log_lines.take_over()
    assert (sys.stdout, sys.stderr, sys.excepthook) == before


def test_a_library_that_says_the_same_all_the_time_is_heard_seldom(monkeypatch):
    """One line a minute, with the count of the others; other loggers are left alone."""
    now = [0.0]
    monkeypatch.setattr(log_lines.time, "monotonic", lambda: now[0])
    seldom = Seldom("opentelemetry")
    away = [record("away %d", number, name="opentelemetry.exporter") for number in range(5)]
    assert [seldom.filter(one) for one in away] == [True, False, False, False, False]
    assert seldom.filter(record())
    now[0] = 61.0
    late = record("away %d", 9, name="opentelemetry.exporter")
    assert seldom.filter(late)
    assert late.getMessage() == "away 9 (4 lines since the last were left out)"
