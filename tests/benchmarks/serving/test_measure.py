"""benchmarks.serving.measure: a process tree's CPU and memory."""

import subprocess
import sys

import pytest

from benchmarks.serving.measure import PeakMemory, Tree

SPIN = "import time\nwhile time.process_time() < {seconds}: pass\n"
CHILD = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {SPIN.format(seconds=0.3)!r}])\n"


@pytest.fixture
def start():
    children = []

    def start(code):
        child = subprocess.Popen(
            [sys.executable, "-c", f"{code}\nprint('done', flush=True)\nimport sys; sys.stdin.read()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.communicate()


def test_the_time_of_a_child_that_ended_is_counted(start):
    """A worker that worked and died is no free work."""
    child = start(CHILD)
    child.stdout.readline()
    assert Tree(child.pid).cpu_seconds() >= 0.28  # in ticks of 10 ms


def test_settling_waits_for_the_work_to_end(start):
    """What is still under way is in the figure, and the wait ends with it."""
    child = start(f"print('started', flush=True)\n{SPIN.format(seconds=0.3)}")
    child.stdout.readline()
    assert Tree(child.pid).settle(20) >= 0.28  # in ticks of 10 ms


def test_the_peak_is_the_most_that_was_seen(start):
    """50 MiB that are held while it samples are in it."""
    child = start("held = b'x' * (50 * 2**20)")
    child.stdout.readline()
    with PeakMemory(Tree(child.pid), every_seconds=0.05) as memory:
        pass
    assert 50 < memory.mib < 200
