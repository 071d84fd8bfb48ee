"""One server at a time on a BENTOML_HOME: a lock that goes with the process that holds it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fraud import home
from fraud.errors import SettingsError

ROOT = Path(__file__).parents[2]
HOLD = "import sys, time; from pathlib import Path; from fraud import home; home.claim(Path(sys.argv[1]));"
WAIT = "print('holds', flush=True); sys.stdin.read()"


def start(folder, code):
    """A process that claims ``folder`` and goes on with ``code``, once it has printed a line."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", HOLD + code, str(folder)], cwd=ROOT, **pipes)
    process.said = process.stdout.readline().strip()
    return process


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the home."""
    with start(tmp_path, WAIT) as process:
        yield process
        process.kill()


@pytest.fixture(autouse=True)
def forgotten():
    """What a test claimed here is no home of another test."""
    yield
    home.claim.cache_clear()


@pytest.mark.parametrize("ask", [home.claim, home.check_unclaimed])
def test_a_home_that_is_held_is_refused(holder, tmp_path, ask):
    """The words name the process and the home, and say what to do."""
    with pytest.raises(SettingsError) as caught:
        ask(tmp_path)
    assert str(caught.value) == (
        f"another server (process {holder.pid}) runs on BENTOML_HOME {tmp_path}, and this one would wipe its metrics; "
        "stop that one, or give this one a BENTOML_HOME of its own"
    )


def test_the_lock_goes_with_its_process(holder, tmp_path):
    """Killed without warning it leaves a file behind, and no lock."""
    holder.kill()
    holder.wait()
    assert (tmp_path / home.LOCK).read_text() == str(holder.pid)
    home.claim(tmp_path)


def test_processes_that_the_holder_starts_do_not_hold(tmp_path):
    """Workers, which BentoML starts with what is inheritable, may outlive their parent."""
    code = (
        "import subprocess; child = subprocess.Popen(['sleep', '60'], close_fds=False, stdout=subprocess.DEVNULL);"
        "print(child.pid, flush=True)"
    )
    parent = start(tmp_path, code)
    parent.communicate()
    try:
        home.check_unclaimed(tmp_path)
    finally:
        os.kill(int(parent.said), signal.SIGKILL)  # an error if it had ended by itself


def test_a_home_may_be_claimed_again_by_its_holder(tmp_path):
    """BentoML asks twice where a service is started from Python."""
    home.claim(tmp_path)
    home.claim(tmp_path)


def test_looking_leaves_the_home_free(tmp_path):
    """``make run`` looks, works, and hands over to a process that claims."""
    home.check_unclaimed(tmp_path)
    with start(tmp_path, WAIT) as other:
        assert other.said == "holds"
        other.kill()


def test_another_home_is_another_matter(holder, tmp_path):
    """Two servers, each with its own."""
    (tmp_path / "other").mkdir()
    home.claim(tmp_path / "other")


@pytest.mark.parametrize("ask", [home.claim, home.check_unclaimed])
def test_a_home_without_a_lock_is_no_obstacle(tmp_path, ask):
    """Where none can be made, as with a read-only root, and where there is no home yet."""
    ask(tmp_path / "nowhere")
    (tmp_path / home.LOCK).mkdir()
    ask(tmp_path)


def test_the_home_is_bentomls(monkeypatch, tmp_path):
    """The variable's, or ``bentoml`` in the user's folder."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    assert home.folder() == tmp_path
    monkeypatch.delenv("BENTOML_HOME")
    assert home.folder() == Path.home() / "bentoml"
