"""What guards closes: a worker whose calls do not come through the Edge serves nobody where keys are set."""

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


def test_keys_that_nobody_looks_at_end_the_worker(worker, caplog):
    """BentoML may keep every name and call it no more: then no guard stands before the methods."""
    worker(api_keys="0" * 64)
    with pytest.raises(SystemExit):
        process.check_guarded()
    assert "nothing is served" in caplog.text


def test_a_guarded_worker_goes_on(worker):
    """And one without keys, which lets everybody pass."""
    worker(api_keys="0" * 64).edge = object()
    process.check_guarded()
    worker()
    process.check_guarded()
