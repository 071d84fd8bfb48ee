"""A search whose process is killed: the time that it took counts."""

import signal
import subprocess
import sys

import pytest

from fraud.schema import default
from tests.training.tuning import small
from training.data import load
from training.train import DEFAULTS
from training.tuning import study
from training.tuning.folds import Folding, folds
from training.tuning.forests import Forests
from training.tuning.study import Study

KILLED = """
import os, signal, sys
from tests.training.tuning import small
from training import train
from training.tuning import forests

forests.DEFAULTS = forests.DEFAULTS.model_copy(update={"trees": small.TREES})
forests._STEP = 5
pieces, fit = [], train.fit

def counting(*arguments, progress, **options):
    def told(trees):
        pieces.append(trees)
        if len(pieces) == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        progress(trees)
    return fit(*arguments, progress=told, **options)

train.fit = counting
small.searched(sys.argv[1], "killed", trials=1, clock=lambda: len(pieces))
"""
"""By a clock that counts pieces of work; killed after one of them."""
IN_A_TRIAL, IN_JUDGING = 10, 25  # 4 pieces to know the cost, and 5 for each of 3 folds; those for fresh ones


@pytest.mark.parametrize("piece", [IN_A_TRIAL, IN_JUDGING])
def test_the_time_of_a_process_that_was_killed_counts(source, piece):
    """All but the piece of work that it was at, in a trial and in judging alike."""
    ended = subprocess.run([sys.executable, "-c", KILLED, str(source), str(piece)], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    fold = folds(load([str(source)], default()), Folding(False, 3, 0), DEFAULTS)[0]
    with study.opened("killed") as storage:
        mine = Study(storage, Forests(small.RECIPE, fold, 3.0), "killed", {})
        assert mine.finished == (piece == IN_JUDGING)
        assert mine.seconds == piece - 1
