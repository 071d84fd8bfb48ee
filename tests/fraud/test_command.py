"""Every command: one JSON document on stdout, words on stderr, and its exit code."""

import json
import logging
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from fraud import command
from fraud.errors import ConflictError, DataError, FraudError, ModelError, RegistryError, SettingsError

REPOSITORY = Path(__file__).parents[2]


def parser_of(handler, *examples):
    def add_to(verbs):
        command.subcommand(verbs, "do", handler, "Do it.", *examples).add_argument("--count", type=int)

    return command.front("python -m thing", "Things.", [SimpleNamespace(add_to=add_to)])


def run(handler, *arguments):
    return command.main(parser_of(handler), arguments or ("do",))


def failing(error):
    def handler(arguments):
        raise error

    return handler


@pytest.mark.parametrize("result", [{"a": 1, "b": [None, "ü"]}, [], 0, "text", None], ids=repr)
def test_success_prints_one_json_document(capsys, result):
    """The handler's result is the only thing on stdout, ends with a line break, and the exit code is 0."""
    assert run(lambda _: result) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == result
    assert said.out.endswith("\n")
    assert said.err == ""


def test_a_plain_text_is_printed_as_it_stands(capsys):
    """For a document that is no JSON."""
    assert run(lambda _: command.PlainText("a = 1\n")) == 0
    assert capsys.readouterr().out == "a = 1\n"


def test_arguments_reach_the_handler(capsys):
    """The handler sees what was parsed."""
    run(lambda arguments: arguments.count, "do", "--count", "7")
    assert json.loads(capsys.readouterr().out) == 7


@pytest.mark.parametrize("kind", [FraudError, DataError, ModelError, SettingsError, RegistryError, ConflictError])
def test_a_stated_error_is_one_line_and_exit_code_1(capsys, kind):
    """Each error of our tree is one line on stderr without a traceback, and nothing on stdout."""
    assert run(failing(kind("what came; what to do"))) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "error: what came; what to do\n"


def test_an_unexpected_error_is_not_hidden():
    """A programming error keeps its traceback."""
    with pytest.raises(ZeroDivisionError):
        run(failing(ZeroDivisionError()))


def test_an_interrupt_is_no_traceback(capsys):
    """Ctrl-C ends with the shell's own code for it."""
    assert run(failing(KeyboardInterrupt())) == 130
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "interrupted\n")


HOLD = """
import argparse, sys, tempfile, time
from fraud import command

def hold(arguments):
    with tempfile.TemporaryDirectory() as folder:
        print(folder, flush=True)
        time.sleep(60)

parser = argparse.ArgumentParser()
parser.set_defaults(handler=hold)
sys.exit(command.main(parser, []))
"""


def test_sigterm_cleans_up():
    """What a handler holds is let go when the process is told to end, and the exit code says why it ended."""
    with subprocess.Popen([sys.executable, "-c", HOLD], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        folder = Path(process.stdout.readline().strip())
        assert folder.is_dir()
        process.terminate()
        assert process.wait(timeout=30) == 143
    assert not folder.exists()


def test_a_thread_may_run_a_command(capsys):
    """Where signals cannot be set, the command runs all the same."""
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run, lambda _: 1).result() == 0


@pytest.mark.parametrize("arguments", [["nothing"], ["do", "--count", "x"], ["do", "--nope"], ["do", "extra"]])
def test_wrong_usage_is_exit_code_2(capsys, arguments):
    """What cannot be parsed prints the usage on stderr and nothing on stdout."""
    with pytest.raises(SystemExit) as stop:
        run(lambda _: None, *arguments)
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("usage: python -m thing")


def test_logs_are_on_stderr(capsys, monkeypatch):
    """A warning logged on the way does not spoil the document on stdout."""
    monkeypatch.setattr(logging.root, "handlers", [])
    run(lambda _: logging.getLogger("thing").warning("careful"))
    said = capsys.readouterr()
    assert json.loads(said.out) is None
    assert said.err == "WARNING thing: careful\n"


def test_no_number_is_no_json():
    """NaN is refused, as other readers of JSON would."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        run(lambda _: {"a": math.nan})


def test_help_shows_the_examples(capsys):
    """The examples of a verb are printed as they are, one a line."""
    with pytest.raises(SystemExit) as stop:
        command.main(parser_of(lambda _: None, "thing do --count 1", "thing do"), ["do", "--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.endswith("examples:\n  thing do --count 1\n  thing do\n")


def test_the_front_lists_its_verbs_in_order(capsys):
    """``--help`` shows what the program is for and each verb with its summary, as the modules come."""

    def module(name):
        return SimpleNamespace(add_to=lambda verbs: command.subcommand(verbs, name, print, f"Do {name}."))

    with pytest.raises(SystemExit) as stop:
        command.main(command.front("python -m thing", "Things.", [module("b"), module("a")]), ["--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: python -m thing [-h] VERB ...\n\nThings.\n")
    assert [line.split() for line in said.splitlines() if "Do " in line] == [["b", "Do", "b."], ["a", "Do", "a."]]


def test_a_command_is_not_tracked(monkeypatch):
    """BentoML is told before the handler runs; who has said otherwise is left in peace."""
    monkeypatch.delenv("BENTOML_DO_NOT_TRACK", raising=False)
    seen = []
    assert run(lambda _: seen.append(os.environ["BENTOML_DO_NOT_TRACK"])) == 0
    monkeypatch.setenv("BENTOML_DO_NOT_TRACK", "False")
    assert run(lambda _: seen.append(os.environ["BENTOML_DO_NOT_TRACK"])) == 0
    assert seen == ["True", "False"]


def test_a_result_brings_its_exit_code(capsys):
    """The document is printed all the same."""
    assert run(lambda _: command.CommandResult({"a": 1}, 3)) == 3
    assert json.loads(capsys.readouterr().out) == {"a": 1}


def test_what_does_not_ship_is_one_line(monkeypatch, capsys):
    """In a Bento or an image, which have no package ``training``; in a checkout it is a mistake, and shown whole."""
    lacking = failing(ModuleNotFoundError("No module named 'fraud.bulk'", name="fraud.bulk"))
    with pytest.raises(ModuleNotFoundError):
        run(lacking)
    monkeypatch.setattr(command, "find_spec", lambda _: None)
    assert run(lacking) == command.EXIT_ERROR
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "error: python -m thing: this needs fraud.bulk, which does not ship with the service; call it in a checkout\n"
    )
