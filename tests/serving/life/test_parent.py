"""Which workers the parent takes for standing still, by a clock of the test's own; and that it kills these alone."""

import os
import struct
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
import yaml

from fraud.settings import Settings
from monitoring.log import DRAIN_SECONDS
from serving.bento import LAST_SECONDS, LOOK_SECONDS
from serving.life.parent import Silence, Watch, stop_seconds

ROOT = Path(__file__).parents[3]


class Parent:
    """Looks at hearts every two seconds; ``look`` gives how long each was silent."""

    def __init__(self):
        self.now = 0.0
        self.silence = Silence(lambda: self.now)

    def look(self, after=LOOK_SECONDS, **beats):
        self.now += after
        return self.silence.seconds({int(name[1:]): at for name, at in beats.items()})


@pytest.fixture
def parent():
    return Parent()


def test_a_heart_that_beats_is_not_silent(parent):
    """However irregularly, and whatever its clock says."""
    assert [parent.look(p1=at) for at in (5.0, 6.0, 9.0, 1.0)] == [{1: 0.0}] * 4


def test_silence_is_counted_from_the_last_beat_seen(parent):
    """Of the worker that is silent, not of the other; one beat ends it."""
    parent.look(p1=5.0, p2=5.0)
    assert parent.look(p1=5.0, p2=6.0) == {1: 2.0, 2: 0.0}
    assert parent.look(p1=5.0, p2=7.0) == {1: 4.0, 2: 0.0}
    assert parent.look(p1=5.1, p2=8.0) == {1: 0.0, 2: 0.0}


def test_a_worker_that_starts_is_not_known(parent):
    """It has not beaten, so nothing was to be heard of it."""
    for _ in range(1000):
        assert parent.look() == {}


@pytest.mark.parametrize("pause", [60.0, 86_400.0])
def test_time_in_which_the_parent_slept_itself_does_not_count(parent, pause):
    """A container that is paused, a machine whose clock went on while it slept."""
    parent.look(p1=5.0, p2=5.0)
    assert parent.look(pause, p1=5.0, p2=5.0) == {1: 2 * LOOK_SECONDS, 2: 2 * LOOK_SECONDS}
    assert parent.look(p1=6.0, p2=6.0) == {1: 0.0, 2: 0.0}


def test_what_went_is_forgotten(parent):
    """Its process id may come again."""
    parent.look(p1=5.0)
    parent.look(p1=5.0)
    parent.look()
    assert parent.look(p1=5.0) == {1: 0.0}


@pytest.fixture
def processes():
    """Two that would run for long."""
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    started = [subprocess.Popen(command) for _ in range(2)]
    yield started
    for one in started:
        one.kill()
        one.wait(10)


def test_only_a_worker_that_stands_still_is_killed(processes, tmp_path, caplog):
    """Not one that beats, nor a process that is no worker of ours any more, whatever its file says."""
    still, beating = processes
    stranger = os.getpid()

    def beat(pid, at):
        (tmp_path / f"fraud_heart_{pid}").write_bytes(struct.pack("<d?", at, True))

    clock = count(0, LOOK_SECONDS)
    watch = Watch(2 * LOOK_SECONDS, lambda: next(clock))
    for at in range(3):
        beat(still.pid, 7.0)
        beat(stranger, 7.0)
        beat(beating.pid, float(at))
        watch.look(tmp_path, [still.pid, beating.pid])
    assert still.wait(10) == -9
    assert beating.poll() is None
    assert f"worker (process {still.pid}) stood still" in caplog.text


def test_without_a_folder_nobody_is_killed(processes, tmp_path):
    """BENTOML_HOME went: nothing can be heard, which says nothing."""
    watch = Watch(0.0)
    watch.look(tmp_path / "gone", [one.pid for one in processes])
    assert [one.poll() for one in processes] == [None, None]


def test_a_worker_that_ends_has_time_for_all_that_it_does():
    """The grace, the last answers, and the prediction log; asked twice, for the log."""
    assert LAST_SECONDS > DRAIN_SECONDS
    settings = Settings(drain_seconds=3, request_timeout_seconds=20)
    assert stop_seconds(settings) > 3 + 20 + DRAIN_SECONDS


@pytest.mark.parametrize(
    "name", ["deploy/compose.yaml", "monitoring/compose.yaml", "deploy/kubernetes/deployment.yaml"]
)
def test_whoever_runs_the_service_waits_longer_than_it_takes_to_end(name):
    """Else the workers are killed with it, in the middle of an answer."""
    facts = yaml.safe_load((ROOT / name).read_text())
    if "services" in facts:
        seconds = int(facts["services"]["fraud-detector"]["stop_grace_period"].removesuffix("s"))
    else:
        seconds = facts["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert seconds > stop_seconds(Settings())


def test_a_worker_is_killed_once(processes, tmp_path, caplog):
    """It may take a while to go, as one that waits for a disk: the log is not filled meanwhile."""
    (tmp_path / f"fraud_heart_{processes[0].pid}").write_bytes(struct.pack("<d?", 7.0, True))
    clock = count(0, LOOK_SECONDS)
    watch = Watch(3 * LOOK_SECONDS, lambda: next(clock))
    for _ in range(6):
        watch.look(tmp_path, [processes[0].pid])
    assert caplog.text.count("stood still") == 1
