"""Which local model is meant where nobody names one: the chosen, else the newest, and never another one in silence."""

from pathlib import Path

import bentoml
import pytest

from fraud import store
from fraud.choice import local
from fraud.errors import ModelError
from fraud.remote.resolve import resolve
from tests.fraud.stored import save


@pytest.fixture
def versions(saved, model, scorer, probes, facts):
    """An older model and a newer one, and no choice before and after."""
    newer = save(model, scorer, probes, facts)
    yield saved.model_version, newer.model_version
    local.use(None)


def test_without_a_choice_it_is_the_newest_and_the_others_are_named(versions):
    """With the command that chooses."""
    newer = versions[1]
    choice = local.choose(None)
    assert choice.tag == f"fraud_detector:{newer}"
    count = len(store.versions())
    assert choice.why.startswith(f"the newest of {count} local models (the others: {store.versions()[1]}")
    assert choice.why.endswith("`python -m training use VERSION` chooses")


def test_of_many_others_the_newest_five_are_named(versions, monkeypatch):
    """And how many more there are."""
    monkeypatch.setattr(store, "versions", lambda: [versions[1], *"abcdefg"])
    assert "(the others: a, b, c, d, e and 2 more)" in local.choose(None).why


def test_an_only_model_is_said_to_be_so(versions, monkeypatch):
    """There is nothing to choose from."""
    monkeypatch.setattr(store, "versions", lambda: [versions[1]])
    assert local.choose(None).why == "the only local model"


def test_the_chosen_one_stays_whatever_is_trained_later(versions, model, scorer, probes, facts):
    """A newer model changes nothing until it is chosen."""
    older, _ = versions
    local.use(older)
    save(model, scorer, probes, facts)
    assert (local.chosen(), local.choose(None).version) == (older, older)
    assert resolve(None).version == older


def test_what_fraud_model_names_comes_first(versions, monkeypatch):
    """A version, and the newest by its name."""
    older, newer = versions
    local.use(older)
    for name, version in ((newer, newer), ("latest", newer)):
        monkeypatch.setenv("FRAUD_MODEL", f"fraud_detector:{name}")
        assert resolve(None).version == version
        assert local.choose(f"fraud_detector:{name}").version == name


def test_a_chosen_model_that_was_deleted_is_an_error(versions):
    """One line with the way out; nothing else is taken in its place."""
    newer = versions[1]
    local.use(newer)
    bentoml.models.delete(f"fraud_detector:{newer}")
    words = (
        rf"^fraud_detector:{newer} was chosen to be served and the model store does not have it; choose another with "
        r"`python -m training use VERSION`, or `python -m training use --newest`$"
    )
    for ask in (local.choose, resolve):
        with pytest.raises(ModelError, match=words):
            ask(None)
    local.use(None)
    assert local.choose(None).version != newer


@pytest.mark.parametrize("left", [b"", b"\xff\xfe", b"a\nb"])
def test_a_choice_that_cannot_be_read_is_none_that_is_there(versions, left):
    """Nothing else is served for it."""
    local._path().write_bytes(left)
    with pytest.raises(ModelError, match="was chosen to be served and the model store does not have it"):
        local.choose(None)


def test_a_model_that_is_not_there_cannot_be_chosen(versions):
    """The choice before stays."""
    local.use(versions[0])
    with pytest.raises(ModelError, match=r"^the model store has no fraud_detector:nowhere; it holds"):
        local.use("nowhere")
    assert local.chosen() == versions[0]


def test_a_model_that_is_not_sound_cannot_be_chosen(versions):
    """One that would not be served."""
    newer = versions[1]
    with open(store.get(f"fraud_detector:{newer}").path_of(store.FOREST_FILE), "ab") as file:  # noqa: PTH123
        file.write(b"\0")
    with pytest.raises(ModelError, match="is not the file that was saved"):
        local.use(newer)
    assert local.chosen() is None


def test_a_home_that_cannot_be_written_is_said(versions, monkeypatch):
    """With its path."""

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(ModelError, match=r"fraud_chosen: cannot be written \(No space left on device\)$"):
        local.use(versions[0])


def test_a_champion_that_cannot_be_noted_is_said(versions, monkeypatch):
    """On a full disk: an older one would come back when S3 is away."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ModelError, match=r"fraud_champion: cannot be written \(No space left on device\)$"):
        local.remember_champion(versions[0])


def test_a_choice_is_kept_as_the_store_writes_it(versions):
    """Whatever case it was given in: BentoML finds both, and who reads the choice compares."""
    older, _ = versions
    local.use(older.upper())
    assert local.chosen() == local.choose(None).version == older
