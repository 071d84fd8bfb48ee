"""The names of BentoML's that the revival of workers leans on. That it works is shown in tests/e2e/test_bundle.py."""

import pytest
from bentoml import serving
from bentoml._internal.utils import circus

from fraud import workers


@pytest.fixture
def in_a_container(monkeypatch):
    monkeypatch.setenv("BENTOML_CONTAINERIZED", "true")
    monkeypatch.setattr(circus, "Arbiter", circus.Arbiter)  # put back after the test
    serving.running_inside_container.cache_clear()
    yield
    serving.running_inside_container.cache_clear()


def respawns():
    serving.running_inside_container.cache_clear()
    return serving.create_watcher(name="service", args=[]).respawn


def test_workers_of_a_container_are_started_anew(in_a_container):
    """Without our help they are not."""
    assert not respawns()
    workers.revive()
    assert respawns()


def test_the_parent_looks_often(in_a_container, monkeypatch):
    """Whatever delay BentoML asks for, the arbiter that it makes is ours."""
    given = {}
    monkeypatch.setattr(circus._Arbiter, "__init__", lambda *_, **kwargs: given.update(kwargs))
    workers.revive()
    circus.Arbiter([], endpoint="tcp://127.0.0.1:1", check_delay=10)
    assert given == {"endpoint": "tcp://127.0.0.1:1", "check_delay": workers.LOOK_SECONDS}
    assert "Arbiter" in circus.create_standalone_arbiter.__code__.co_names
