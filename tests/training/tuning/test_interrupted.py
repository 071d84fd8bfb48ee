"""``python -m training tune`` ended by a signal, and gone on with by the same command."""

import json
import os
import signal
import subprocess
import sys
from collections import deque
from itertools import islice
from pathlib import Path

import pytest

from fraud import command
from tests.training.test_main import call
from tests.training.tuning.small import tried
from training import __main__ as program
from training.train import DEFAULTS
from training.tuning import recipe_file

ROOT = Path(__file__).parents[3]


def arguments(source, *more):
    return ["tune", "--data", str(source), "--jobs", "1", "--most-cost", "1", *more]


@pytest.fixture
def environment(home, tmp_path, monkeypatch):
    """With a home that both processes share."""
    monkeypatch.setattr(recipe_file, "FOLDER", tmp_path / "recipes")
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


def ended(source, environment, how, after):
    """A search that was sent a signal in its trial number ``after`` of this process: exit code, document, words."""
    asked = [sys.executable, "-m", "training", *arguments(source, "--study", "ended", "--trials", "99")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(asked, cwd=ROOT, env=environment, **pipes) as search:
        begun = (line for line in search.stderr if line.startswith("  estimator "))
        deque(islice(begun, after), maxlen=0)
        search.send_signal(how)
        out, err = search.communicate(timeout=60)
    return search.returncode, out and json.loads(out), err


def test_what_was_found_survives_an_end_by_any_signal(source, environment, capsys):
    """Ctrl-C tells it at once, exit code 130; killed or not, the same command goes on to what there would have been."""
    code, told, err = ended(source, environment, signal.SIGINT, 2)
    assert code == 130
    assert told["interrupted"]
    assert told["families"]["forest"]["finished"] == 1
    assert "the same command goes on" in err
    assert ended(source, environment, signal.SIGKILL, 1)[0] == -signal.SIGKILL
    code, resumed, err = call(capsys, *arguments(source, "--study", "ended", "--trials", "3"))
    assert code == 0
    assert "forest 1 of" not in err
    _, whole, _ = call(capsys, *arguments(source, "--study", "whole", "--trials", "3"))
    assert [trial["state"] for trial in tried(resumed)] == ["complete", "fail", "fail", "complete", "complete"]
    finished = [{**trial, "trial": 0} for trial in tried(resumed) if trial["state"] != "fail"]
    assert finished == [{**trial, "trial": 0} for trial in tried(whole)]
    assert {**resumed["best"], "trial": 0} == {**whole["best"], "trial": 0}


def test_the_recipe_that_is_used_is_what_run_takes(source, environment, capsys):
    """By the name of the schema; the manifest says so. The command line still goes before it."""
    code, found, _ = call(capsys, *arguments(source, "--trials", "2", "--use"))
    assert code == 0
    assert found["recipe_file"] == str(recipe_file.path_of("creditcard"))
    again = {"max_features": 0.4, "trees": 7}
    recipe_file.write(recipe_file.path_of("creditcard"), DEFAULTS.model_copy(update=again), [])
    _, second, _ = call(capsys, *arguments(source, "--trials", "2", "--use"))
    assert second["best"] == found["best"], "the study is gone on with, whatever recipe there is by now"
    _, trained, _ = call(capsys, "run", "--data", str(source), "--jobs", "1")
    assert trained["settings"] == found["best"]["recipe"]
    _, trained, _ = call(capsys, "run", "--data", str(source), "--jobs", "1", "--trees", "6")
    assert trained["settings"] == found["best"]["recipe"] | {"trees": 6}


@pytest.mark.parametrize(
    "wrong", [("--trials", "0"), ("--minutes", "-1"), ("--most-cost", "0.5"), ("--folds", "1"), ("--study", "../x")]
)
def test_wrong_usage_is_told(wrong, source, capsys):
    """Exit code 2."""
    with pytest.raises(SystemExit) as ended:
        command.main(program.parser(), [*arguments(source), *wrong])
    assert ended.value.code == 2
    assert wrong[0] in capsys.readouterr().err
