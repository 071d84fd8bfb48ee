"""``python -m fraud`` as a user meets it: JSON on stdout, words on stderr, exit codes."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fraud import __main__ as program
from fraud import store
from fraud.choice import local
from fraud.settings import Settings
from fraud.verbs import score

REPOSITORY = Path(__file__).parents[2]


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


def test_help_of_score_shows_commands_that_parse(fraud, monkeypatch):
    """Each example in the help of ``score`` is accepted by its own parser."""
    seen = []
    monkeypatch.setattr(score, "_score", lambda arguments: seen.append(Path(arguments.sources[0]).name))
    code, out, _ = fraud("score", "--help")
    assert code == 0
    examples = [line.split() for line in out.partition("examples:\n")[2].splitlines()]
    assert len(examples) == 6
    for words in examples:
        assert words[:3] == ["python", "-m", "fraud"]
        assert fraud(*words[3:])[0] == 0
    assert seen == ["transactions.csv", "week.parquet", "shop.csv", "transactions", "transactions", "2026-*.parquet'"]


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
        (("a.csv", "b.csv", "--model", "nowhere"), {}, "the model store has no fraud_detector:nowhere"),
        (("a.csv", "b.csv", "--model", "champion"), {}, "no champion is known here: set FRAUD_S3_URI"),
        (("a.csv", "b.csv", "--model", "other:abc"), {}, "other:abc: not a model tag"),
        (
            ("a.csv", "b.csv"),
            {"FRAUD_MODEL": "fraud_detector:unheard"},
            "the model store has no fraud_detector:unheard",
        ),
        (("a.csv", "b.csv"), {"FRAUD_MODLE": "x"}, "FRAUD_MODLE is not a setting"),
    ],
    ids=[
        "bad suffix",
        "no such tag",
        "no such version",
        "no champion",
        "another model",
        "no such model in the environment",
        "unknown setting",
    ],
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
        "read_as": "CSV, commas, decimal points, UTF-8",
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


@pytest.mark.parametrize("name", ["{version}", "fraud_detector:{version}", "latest", "champion"])
def test_score_takes_a_model_by_any_name(fraud, saved, frame, tmp_path, name):
    """A version, a tag, the newest, and the champion last seen."""
    frame[:5].to_csv(tmp_path / "in.csv", index=False)
    local.remember_champion(saved.model_version)
    try:
        code, out, err = fraud(
            "score", tmp_path / "in.csv", tmp_path / "out.csv", "--model", name.format(version=saved.model_version)
        )
    finally:
        local._champion_path(saved.model_version).unlink()
    assert (code, err) == (0, "")
    expected = store.versions()[0] if name == "latest" else saved.model_version
    assert json.loads(out)["model_version"] == expected


def test_a_key_is_printed_with_its_hash(fraud):
    """The hash is what the service is given."""
    code, out, err = fraud("key")
    document = json.loads(out)
    assert (code, err, set(document)) == (0, "", {"key", "sha256"})
    assert hashlib.sha256(document["key"].encode()).hexdigest() == document["sha256"]


def test_a_named_key_is_printed_as_its_setting_takes_it(fraud):
    """Beside what is printed anyway."""
    document = json.loads(fraud("key", "--name", "shop")[1])
    assert document["setting"] == f"shop:{document['sha256']}"
    assert set(Settings(api_keys=document["setting"]).key_names.values()) == {"shop"}


def test_a_secret_is_printed_alone(fraud):
    """So that it can go into a file as it stands."""
    code, out, err = fraud("key", "--secret")
    assert (code, err) == (0, "")
    assert Settings.from_env({"FRAUD_KEY_SECRET": out}).key_secret == out.removesuffix("\n")


def test_the_program_starts_with_nothing_heavy():
    """A container has no pandas, pyarrow or boto3: its ``key`` and every ``--help`` work without them."""
    code = """
import sys
from fraud import __main__ as program
from fraud import store
sys.argv = ["fraud", "key"]
assert program.main() == 0
heavy = {"pandas", "pyarrow", "boto3", "sklearn", "fraud.bulk", "fraud.tables", "fraud.remote"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "[]"), done.stderr
