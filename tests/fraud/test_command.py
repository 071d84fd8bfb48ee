"""Every command: one JSON document on stdout, words on stderr, and its exit code."""

import argparse
import json
import logging
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fraud import __main__ as program
from fraud import command
from fraud.errors import ConflictError, DataError, FraudError, ModelError, RegistryError, SettingsError

REPOSITORY = Path(__file__).parents[2]


def parser_of(handler, *examples):
    parser = argparse.ArgumentParser(prog="python -m thing")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    command.subcommand(verbs, "do", handler, "Do it.", *examples).add_argument("--count", type=int)
    return parser


def run(handler, *arguments):
    return command.main(parser_of(handler), arguments or ("do",))


def failing(error):
    def handler(given):
        raise error

    return handler


@pytest.fixture
def fraud(monkeypatch, capsys):
    """Runs ``python -m fraud`` with arguments; its exit code, stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["fraud", *map(str, arguments)])
        try:
            code = program.main()
        except SystemExit as stop:
            code = stop.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.mark.parametrize("result", [{"a": 1, "b": [None, "ü"]}, [], 0, "text", None], ids=repr)
def test_success_prints_one_json_document(capsys, result):
    """The handler's result is the only thing on stdout, ends with a line break, and the exit code is 0."""
    assert run(lambda _: result) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == result
    assert said.out.endswith("\n")
    assert said.err == ""


def test_arguments_reach_the_handler(capsys):
    """The handler sees what was parsed."""
    run(lambda given: given.count, "do", "--count", "7")
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

def hold(given):
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


def test_help_of_score_shows_commands_that_parse(fraud, monkeypatch):
    """Each example in the help of ``score`` is accepted by its own parser."""
    seen = []
    monkeypatch.setattr(program, "_score", lambda given: seen.append(Path(given.sources[0]).name))
    code, out, _ = fraud("score", "--help")
    assert code == 0
    examples = [line.split() for line in out.partition("examples:\n")[2].splitlines()]
    assert len(examples) == 4
    for words in examples:
        assert words[:3] == ["python", "-m", "fraud"]
        assert fraud(*words[3:])[0] == 0
    assert seen == ["transactions.csv", "week.parquet", "transactions", "2026-*.parquet'"]


@pytest.mark.parametrize("arguments", [(), ("nothing",), ("score",), ("score", "in.csv"), ("score", "a", "b", "--x")])
def test_fraud_refuses_wrong_usage(fraud, arguments):
    """Without a verb, or with the wrong arguments, ``python -m fraud`` exits 2."""
    code, out, err = fraud(*arguments)
    assert (code, out) == (2, "")
    assert "usage: python -m fraud" in err


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (("a.csv", "b.txt"), {}, "b.txt: expected a name that ends in .csv or .parquet"),
        (("a.csv", "b.csv", "--model", "fraud_detector:nowhere"), {}, "the model store has no fraud_detector:nowhere"),
        (
            ("a.csv", "b.csv"),
            {"FRAUD_MODEL": "fraud_detector:unheard"},
            "the model store has no fraud_detector:unheard",
        ),
        (("a.csv", "b.csv"), {"FRAUD_MODLE": "x"}, "FRAUD_MODLE is not a setting"),
    ],
    ids=["bad suffix", "no such model", "no such model in the environment", "unknown setting"],
)
def test_fraud_score_states_its_errors(fraud, monkeypatch, tmp_path, arguments, environment, words):
    """A stated error is one line on stderr and exit code 1."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code, out, err = fraud("score", *arguments)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {words}")
    assert err.count("\n") == 1


def test_score_prints_what_it_wrote(fraud, saved, frame, tmp_path):
    """The document tells the output, the rows, how many were flagged, the version and the threshold."""
    frame[:20].to_csv(tmp_path / "in.csv", index=False)
    target = tmp_path / "out.csv"
    code, out, err = fraud("score", tmp_path / "in.csv", target, "--model", f"fraud_detector:{saved.model_version}")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document.pop("flagged") in range(21)
    assert document == {
        "output": str(target),
        "rows": 20,
        "model_version": saved.model_version,
        "threshold": saved.threshold,
    }


def test_the_command_runs_as_a_process(tmp_path):
    """``python -m fraud`` itself ends with the exit code and the one line."""
    done = subprocess.run(
        [sys.executable, "-m", "fraud", "score", tmp_path / "a.csv", tmp_path / "b.doc"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {tmp_path / 'b.doc'}: expected a name that ends in .csv or .parquet\n"
