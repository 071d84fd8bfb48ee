"""``training use`` and what is said of who serves after a run."""

import json

import pytest

from fraud import command
from fraud.choice import local
from fraud.errors import ModelError
from training import __main__ as program
from training.console import Steps
from training.verbs import choice


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A home with two models, which are only names here; every one is sound."""
    held = ["new", "old"]
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    monkeypatch.setattr(local.store, "versions", lambda: held)

    def get(tag):
        version = tag.removeprefix("fraud_detector:").replace("latest", held[0])
        if version not in held:
            raise ModelError(f"the model store has no {tag}")
        return type("Entry", (), {"tag": type("Tag", (), {"version": version})})

    monkeypatch.setattr(local.store, "get", get)
    monkeypatch.setattr(local.store, "open_served", lambda entry: entry)
    return held


def run(*arguments):
    return command.main(program.parser(), ["use", *arguments])


@pytest.mark.parametrize("name", ["old", "fraud_detector:old"])
def test_a_version_is_chosen_by_name(home, capsys, name):
    """One JSON document with the choice and the one before."""
    assert run(name) == 0
    assert json.loads(capsys.readouterr().out) == {"chosen": "old", "before": None}
    assert run("latest") == 0
    assert json.loads(capsys.readouterr().out) == {"chosen": "new", "before": "old"}
    assert run("--newest") == 0
    assert json.loads(capsys.readouterr().out) == {"chosen": None, "before": "new"}


@pytest.mark.parametrize("arguments", [(), ("old", "--newest"), ("",)])
def test_a_version_or_the_newest_and_not_both(home, arguments):
    """Wrong usage."""
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("FRAUD_MODEL", "fraud_detector:new", "FRAUD_MODEL=fraud_detector:new is set and comes before the choice"),
        ("FRAUD_S3_URI", "s3://bucket/fraud", "FRAUD_S3_URI is set: `make run` and `make image` take the champion"),
    ],
)
def test_what_comes_before_the_choice_is_said(home, capsys, monkeypatch, variable, value, words):
    """Else somebody would wonder."""
    monkeypatch.setenv(variable, value)
    assert run("old") == 0
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("chosen", "s3", "champion", "words"),
    [
        (None, None, None, "the next start serves fraud_detector:new, the newest of 2 local models (the others: old);"),
        (
            "old",
            None,
            None,
            "what is served has not changed: fraud_detector:old, chosen with `python -m training use`;",
        ),
        ("gone", None, None, "warning: fraud_detector:gone was chosen to be served and the model store does not have"),
        (None, "s3://bucket/fraud", None, "what `make run` serves has not changed: the champion;"),
        (None, "s3://bucket/fraud", "best", "what `make run` serves has not changed: the champion;"),
        (None, "s3://bucket/fraud", "new", "the next start serves fraud_detector:new"),
    ],
)
def test_a_run_says_what_is_served_afterwards(home, capsys, monkeypatch, chosen, s3, champion, words):
    """A new model is served only where nobody chose one."""
    if chosen:
        local._path().write_text(chosen)
    if s3:
        monkeypatch.setenv("FRAUD_S3_URI", s3)
    choice.tell_served("new", Steps(), champion)
    assert words in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("moved", "words"), [(True, "the champion is best now"), (False, "what is served has not changed: the champion is")]
)
def test_a_retrain_says_who_is_champion_and_who_does_not_ask(home, capsys, moved, words):
    """A local choice is not moved by it."""
    local._path().write_text("old\n")
    choice.tell_champion("best", Steps(), moved=moved)
    said = " ".join(capsys.readouterr().err.split())
    assert words in said
    assert (
        "`bentoml serve` serves fraud_detector:old, chosen with `python -m training use`, whoever is champion" in said
    )
