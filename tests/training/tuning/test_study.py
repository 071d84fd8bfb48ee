"""Trials as they are kept."""

import resource
import signal

import pytest
from optuna.trial import TrialState

from fraud.errors import FraudError
from fraud.schema import default
from tests.training.tuning.small import RECIPE
from training.console import Steps
from training.data import load
from training.train import DEFAULTS
from training.tuning import study
from training.tuning.budget import Budget
from training.tuning.folds import Folding, folds
from training.tuning.forests import Forests
from training.tuning.search import Search
from training.tuning.study import Study


@pytest.fixture(scope="module")
def searched(source):
    return folds(load([str(source)], default()), Folding(False, 3, 0), DEFAULTS)


@pytest.fixture
def mine(searched):
    with study.opened("mine") as storage:
        yield Study(storage, Forests(RECIPE, searched[0], 3.0), "mine", {"rows": "these"})


def test_settings_that_need_too_much_memory_are_pruned(mine, searched):
    """After the piece of work that made them too much; the search goes on."""
    limits = Budget(1e6, 5, in_use=lambda: 6 if mine.finished == 1 else 4)
    Search(mine, searched, limits, Steps(), seed=0, judges_starts=True).run(3)
    assert [trial["why"] for trial in mine.history()] == [None, "memory", None]
    assert [trial["after_each_fold"] == [] for trial in mine.history()] == [False, True, False]


def test_a_trial_of_a_process_that_is_gone_is_no_trial(searched):
    """What it was to try is tried by the next."""
    with study.opened("mine") as storage:
        lost = Study(storage, Forests(RECIPE, searched[0], 3.0), "mine", {}).ask(0)
    with study.opened("mine") as storage:
        again = Study(storage, Forests(RECIPE, searched[0], 3.0), "mine", {})
        assert [trial.state for trial in again.trials] == [TrialState.FAIL]
        assert again.finished == 0
        assert again.ask(0).params == lost.params


@pytest.mark.parametrize("damage", [b"no database" * 1000, None], ids=["garbage", "folder"])
def test_a_file_that_is_no_study_is_a_stated_error(damage):
    """It says where it is, and what to do."""
    path = study.folder("broken") / "trials.sqlite"
    path.mkdir(parents=True)
    if damage:
        path.rmdir()
        path.write_bytes(damage)
    said = r"broken: trials cannot be read or written \(.*name another --study"
    with pytest.raises(FraudError, match=said), study.opened("broken"):
        pass


def test_a_full_disk_is_a_stated_error(searched):
    """Whenever the file stops growing; what was kept is gone on with."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(FraudError, match="full: trials cannot be read"), study.opened("full") as storage:
            mine = Study(storage, Forests(RECIPE, searched[0], 3.0), "full", {})
            mine.tell(mine.ask(0), 0.5, TrialState.COMPLETE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
            mine.tell(mine.ask(0), 0.6, TrialState.COMPLETE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    with study.opened("full") as storage:
        assert Study(storage, Forests(RECIPE, searched[0], 3.0), "full", {}).finished == 1
