"""Which model a start serves: said and settled once. Over real starts: tests/e2e/test_start.py."""

import os

import pytest

from fraud.choice import local
from fraud.errors import ModelError
from fraud.settings import Settings
from serving.start import model

BENTO = """
services:
- name: fraud_detector
  models:
  - tag: other:abc
  - tag: fraud_detector:built
"""


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A home of names; nothing is built in."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    monkeypatch.setenv("FRAUD_MODEL", "")  # what is set is set back at the end
    monkeypatch.setattr(local.store, "versions", lambda: ["new", "old"])

    def get(tag):
        return type("Entry", (), {"tag": type("Tag", (str,), {"version": "new"})(tag.replace("latest", "new"))})

    monkeypatch.setattr(model.store, "get", get)
    for once in (model.tag, model._say_no_champion):
        once.cache_clear()
    yield tmp_path
    for once in (model.tag, model._say_no_champion):
        once.cache_clear()


def test_the_newest_is_taken_and_said(home, capsys, caplog):
    """As a warning, which a build shows too; nothing on stdout, which is what the command answers."""
    assert model.tag(Settings()) == "fraud_detector:new"
    [said] = caplog.records
    assert said.getMessage().startswith("fraud_detector:new: the newest of 2 local models (the others: old); ")
    assert said.levelname == "WARNING"
    assert capsys.readouterr().out == ""


def test_what_is_named_is_taken_without_a_word(home, caplog):
    """As in every worker: its parent has named it."""
    local._path().write_text("gone")
    assert model.tag(Settings(model="fraud_detector:old")) == "fraud_detector:old"
    assert caplog.records == []


def test_a_choice_that_is_gone_ends_the_start(home):
    """With one line."""
    local._path().write_text("gone")
    with pytest.raises(SystemExit, match=r"^error: fraud_detector:gone was chosen to be served and the model store"):
        model.tag(Settings())
    with pytest.raises(ModelError):
        model.settle(Settings())


def test_an_empty_store_is_no_error_before_the_start(home, monkeypatch):
    """Reading the service needs no model."""

    def empty(tag):
        raise ModelError(f"the model store has no {tag}")

    monkeypatch.setattr(model.store, "get", empty)
    assert model.tag(Settings()) == "fraud_detector:latest"


def test_the_parent_settles_it_for_its_workers(home, monkeypatch):
    """They read it from the environment, whatever is newest by then."""
    assert str(model.settle(Settings()).tag) == "fraud_detector:new"
    assert os.environ["FRAUD_MODEL"] == "fraud_detector:new"


@pytest.mark.parametrize("s3", [None, "s3://bucket/fraud"])
def test_an_address_that_is_not_used_is_said(home, caplog, s3):
    """Which model is served instead, and what does use the address."""
    model.settle(Settings(s3_uri=s3))
    said = (
        "FRAUD_S3_URI is set, and the service does not use it: it serves fraud_detector:new, which is here. `make run`"
    )
    assert (said in caplog.text) is bool(s3)


def test_a_build_says_it_too_and_a_start_says_it_once(home, caplog):
    """``bentoml build`` only asks for the tag: an experiment is not shipped in the champion's place without a word."""
    settings = Settings(s3_uri="s3://bucket/fraud")
    model.tag(settings)
    model.settle(settings)
    said = [one.levelname for one in caplog.records if "the service does not use it" in one.getMessage()]
    assert said == ["WARNING"]


def test_a_build_of_what_is_named_says_nothing_of_it(home, caplog):
    """``training image`` names the champion that it has pulled."""
    model.tag(Settings(s3_uri="s3://bucket/fraud", model="fraud_detector:old"))
    assert caplog.records == []


def test_a_bento_serves_what_it_was_built_with(home, monkeypatch, capsys):
    """Neither a choice nor a newer model of the store it stands in; FRAUD_MODEL comes first."""
    (home / "bento.yaml").write_text(BENTO)
    monkeypatch.setattr(model, "_ROOT", home / "src")
    local._path().write_text("old")
    assert model.tag(Settings()) == str(model.settle(Settings()).tag) == "fraud_detector:built"
    assert capsys.readouterr().err == ""
    assert model.tag(Settings(model="fraud_detector:old")) == "fraud_detector:old"


@pytest.mark.parametrize(
    "facts", ["{}", "services: []", "services: [{name: x}]", "services: [{models: [{tag: 'o:1'}]}]"]
)
def test_a_bento_without_a_model_has_none_built_in(home, monkeypatch, facts):
    """The store is asked."""
    (home / "bento.yaml").write_text(facts)
    monkeypatch.setattr(model, "_ROOT", home / "src")
    assert model.tag(Settings()) == "fraud_detector:new"
