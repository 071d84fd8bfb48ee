"""What may not serve says so in one line, however it is started, and takes nothing away from what serves already."""

import os
import signal
import subprocess
import sys

import httpx
import psutil
import pytest

from tests.components import BentoServer, free_port
from tests.e2e.conftest import REPOSITORY, serve_command

pytestmark = pytest.mark.e2e


def serving(home, folder):
    """A server with one worker on a home."""
    port = free_port()
    env = {**os.environ, "BENTOML_HOME": str(home), "FRAUD_WORKERS": "1"}
    return BentoServer(serve_command(port), env, REPOSITORY, port, folder)


@pytest.fixture(scope="module")
def first(store, tmp_path_factory):
    """A server that runs, and its home."""
    folder = tmp_path_factory.mktemp("first")
    home = store.copy(folder / "home").home
    with serving(home, folder) as server:
        yield server, home


def start_in_vain(home, *arguments, **settings):
    """The exit code and the words of a start that is refused."""
    env = {**os.environ, "BENTOML_HOME": str(home), **settings}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def ways(port):
    """How a server is started, by what people call it."""
    return {
        "bentoml serve": ("-m", "bentoml", "serve", "--port", port),
        "Python": ("-c", f"import bentoml; bentoml.serve('service:FraudDetector', port={port})"),
        "make run": ("-m", "training", "serve", "--host", "localhost", "--port", port),
    }


@pytest.mark.parametrize("how", ways(""))
def test_a_second_server_on_one_home_is_refused_and_takes_nothing_away(first, how):
    """One line and exit code 1, before a model is looked for; the first one's series are there as before."""
    server, home = first
    arguments = ways(str(free_port()))[how]
    code, said = start_in_vain(home, *arguments, FRAUD_MODEL="fraud_detector:nowhere")
    assert code == 1
    assert f"error: another server (process {server.pid}) runs on BENTOML_HOME {home}, and this one would" in said
    assert "Traceback" not in said
    series = httpx.get(f"{server.url}/metrics", trust_env=False).text
    assert all(f"\n{name}" in series for name in ("fraud_workers_ready 1.0", "fraud_threshold ", "fraud_model_info{"))


def test_what_only_builds_is_not_refused(first):
    """``bentoml build`` reads the same service and starts none."""
    _, home = first
    assert start_in_vain(home, "-m", "bentoml", "build", "--output", "tag")[0] == 0


@pytest.mark.parametrize("how", ["bentoml serve", "Python", "make run"])
def test_a_model_that_is_not_there_stops_the_start(store, tmp_path, how):
    """What the store holds is named, and no worker is started that would end, and be started, again and again."""
    home = store.copy(tmp_path / "home").home
    arguments = ways(str(free_port()))[how]
    code, said = start_in_vain(home, *arguments, FRAUD_MODEL="fraud_detector:nowhere")
    assert code == 1
    words = f"error: the model store has no fraud_detector:nowhere; it holds fraud_detector:{store.version}: name one"
    assert words in said
    assert "Traceback" not in said
    assert "entry_service" not in said


def test_a_home_is_free_when_its_server_was_killed(store, tmp_path):
    """Also while workers outlive their parent, as one that stands still does: they hold nothing."""
    home = store.copy(tmp_path / "home").home
    killed = serving(home, tmp_path).start()
    [worker] = [psutil.Process(pid) for pid in killed.worker_pids()]
    worker.suspend()
    os.kill(killed.pid, signal.SIGKILL)
    try:
        (tmp_path / "second").mkdir()
        with serving(home, tmp_path / "second"):
            assert worker.is_running()
    finally:
        killed.terminate()
        if worker.is_running():
            worker.kill()
