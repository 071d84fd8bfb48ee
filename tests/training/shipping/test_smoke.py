"""The smoke test of an image, with an engine that is a script: what it finds wrong, it says."""

import json

import pytest
from rich.console import Console

from fraud.errors import FraudError
from training.console import Steps
from training.shipping import image, smoke

STEPS = Steps(Console(quiet=True))


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """Installs a script as the container engine; gives the file in which it notes what it was asked."""

    def install(body):
        script, asked = tmp_path / "engine", tmp_path / "asked"
        script.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n{body}\n')
        script.chmod(0o755)
        monkeypatch.setattr(image, "find_engine", lambda _: str(script))
        monkeypatch.setattr(smoke, "_free_port", lambda: 9)
        return asked

    return install


def test_an_image_that_cannot_be_run_is_a_stated_error(engine):
    """With what the engine said, and nothing left behind."""
    asked = engine("case $1 in run) echo no such image >&2; exit 125 ;; esac")
    with pytest.raises(FraudError, match="cannot run it: no such image"):
        smoke.smoke("nothing:here", "abc", 5, STEPS)
    assert asked.read_text().splitlines()[-1].startswith("rm --force fraud-smoke-")


def test_a_container_gets_the_secret_of_keys(engine, monkeypatch):
    """A model that was trained with one starts with it alone; its value is in no argument."""
    monkeypatch.setenv("FRAUD_KEY_SECRET", "s" * 32)
    asked = engine('case $1 in run) echo "secret: $FRAUD_KEY_SECRET" >&2; exit 125 ;; esac')
    with pytest.raises(FraudError, match=f"secret: {'s' * 32}"):
        smoke.smoke("nothing:here", "abc", 5, STEPS)
    assert "--env=FRAUD_KEY_SECRET nothing:here" in asked.read_text()
    assert "s" * 32 not in asked.read_text()


def test_a_container_that_ends_early_is_told_with_its_log(engine, monkeypatch):
    """The reason is in the log more often than not."""
    monkeypatch.setattr(smoke, "_ready", lambda _: False)
    engine("case $1 in inspect) echo false ;; logs) echo unknown setting FRAUD_X ;; esac")
    with pytest.raises(FraudError, match=r"ended before it was ready\nthe end of its log:\nunknown setting FRAUD_X"):
        smoke.smoke("some:image", "abc", 5, STEPS)


def test_a_container_that_never_gets_ready_is_given_up(engine, monkeypatch):
    """After the stated number of seconds."""
    monkeypatch.setattr(smoke, "_ready", lambda _: False)
    engine("case $1 in inspect) echo true ;; esac")
    with pytest.raises(FraudError, match=r"did not answer 200 within 0\.1 s"):
        smoke.smoke("some:image", "abc", 0.1, STEPS)


METRICS = 'fraud_predictions_total{decision="legitimate"} 1.0\nfraud_model_info{model_version="abc"} 1.0\n'
DOCUMENT = json.dumps(
    {"paths": {"/predict": {"post": {"requestBody": {"content": {"application/json": {"example": {}}}}}}}}
)
ANSWER = '{"fraud_probability": 0.25, "is_fraud": false, "model_version": "abc"}'


@pytest.fixture
def answers(engine, monkeypatch):
    """A healthy container; ``change`` gives its pages other texts, ``exit_code`` is how it ends."""

    def start(exit_code=0, **change):
        pages = {"readyz": "", "docs.json": DOCUMENT, "predict": ANSWER, "metrics": METRICS} | change
        monkeypatch.setattr(smoke, "_fetch", lambda url, *_: pages[url.rpartition("/")[2]])
        monkeypatch.setattr(smoke, "FLUSH_SECONDS", 0)
        engine(f"case $1 in inspect) echo {exit_code} ;; esac")

    return start


def test_what_a_healthy_container_answered_is_the_result(answers):
    """The answer and the lines of /metrics that prove it was counted."""
    answers()
    result = smoke.smoke("some:image", "abc", 5, STEPS)
    assert result["answer"]["model_version"] == "abc"
    assert result["metrics"] == METRICS.splitlines()


def test_another_model_in_the_image_fails(answers):
    """A refused or a stale model must not ship."""
    answers()
    with pytest.raises(FraudError, match="it serves model abc, expected def"):
        smoke.smoke("some:image", "def", 5, STEPS)


def test_an_uncounted_request_fails(answers):
    """An image whose metrics are dead is not shipped."""
    answers(metrics="# nothing\n")
    with pytest.raises(FraudError, match="/metrics does not count the request"):
        smoke.smoke("some:image", "abc", 5, STEPS)


def test_a_container_that_does_not_stop_cleanly_fails(answers):
    """137 is a kill after the grace."""
    answers(exit_code=137)
    with pytest.raises(FraudError, match="exited with code 137"):
        smoke.smoke("some:image", "abc", 5, STEPS)
