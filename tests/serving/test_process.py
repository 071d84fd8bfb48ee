"""What guards closes: a worker whose calls do not come through the Edge serves nobody where keys are set; and a parent
of workers that cannot be the server ends before it starts them."""

import fcntl

import pytest

from fraud.settings import Settings
from serving import process


@pytest.fixture
def worker(monkeypatch):
    """A worker with these settings, in which BentoML has called nothing of ours yet."""

    def make(**settings):
        wiring = process.Wiring()
        monkeypatch.setattr(process, "wiring", lambda: wiring)
        monkeypatch.setattr(process, "settings", lambda: Settings(**settings))
        return wiring

    return make


@pytest.mark.parametrize("name", ["api_keys", "metrics_keys"])
def test_keys_that_nobody_looks_at_end_the_worker(worker, caplog, name):
    """BentoML may keep every name and call it no more: then no guard stands before the methods."""
    worker(**{name: "0" * 64})
    with pytest.raises(SystemExit):
        process.check_guarded()
    assert f"FRAUD_{name.upper()} is set" in caplog.text
    assert "nothing is served" in caplog.text


def test_a_guarded_worker_goes_on(worker):
    """And one without keys, which lets everybody pass."""
    worker(api_keys="0" * 64).edge = object()
    process.check_guarded()
    worker()
    process.check_guarded()


@pytest.fixture
def own_home(tmp_path):
    """A home that this test may claim."""
    yield tmp_path
    process.home.claim.cache_clear()


def test_a_model_that_is_not_there_ends_the_parent_of_the_workers(worker, own_home):
    """With one line: its workers would end one after another, and each be started anew."""
    worker(model="fraud_detector:nowhere")
    with pytest.raises(SystemExit, match=r"^error: the model store has no fraud_detector:nowhere; it "):
        process._check_start(own_home)


def test_a_home_that_is_held_ends_it_before_the_model_is_looked_for(worker, own_home):
    """The running server's metrics come first."""
    worker(model="fraud_detector:nowhere")
    with (own_home / process.home.LOCK).open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SystemExit, match=r"^error: another server \(process unknown\) runs on BENTOML_HOME "):
            process._check_start(own_home)


def test_keys_that_are_required_and_not_there_stop_the_start(monkeypatch):
    """Before anything is loaded, with the command that makes one."""
    monkeypatch.setenv("FRAUD_REQUIRE_KEYS", "true")
    process.settings.cache_clear()
    with pytest.raises(SystemExit, match="FRAUD_REQUIRE_KEYS is set and FRAUD_API_KEYS is not"):
        process.settings()
    process.settings.cache_clear()


def test_a_start_that_cannot_be_looked_at_is_said(monkeypatch, caplog):
    """After an upgrade of BentoML: it starts, and one line says what is not refused any more."""
    monkeypatch.setitem(process.bento.NAMES, process.bento.START, ("bentoml:a_name_that_moved",))
    process.guard_start()
    assert (
        "neither a second server nor a missing model is refused before the start: there is no bentoml:a" in caplog.text
    )
