"""The training commands as a user meets them: JSON on stdout, words on stderr, exit codes."""

import json

import pytest

from fraud import command
from training import __main__ as program
from training.console import Steps
from training.shipping import serve
from training.shipping.serve import Settings


def call(capsys, *arguments):
    """Exit code, parsed stdout (None when empty) and stderr of one command."""
    code = command.main(program.parser(), arguments)
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else None, said.err


def test_run_prints_one_json_document_and_progress_elsewhere(capsys):
    """The result on stdout is JSON alone; what was done is told on stderr."""
    code, result, err = call(capsys, "run", "--data", "sample:3000", "--trees", "10", "--jobs", "1")
    assert code == 0
    assert result["synthetic"] is True
    assert 0 < result["metrics"]["average_precision"]["value"] <= 1
    assert "final forest" in err


def test_list_names_the_models_of_the_local_store(capsys):
    """A model that was just trained is listed first, as local and not published."""
    _, trained, _ = call(capsys, "run", "--data", "sample:3000", "--trees", "5", "--jobs", "1")
    code, result, err = call(capsys, "list")
    assert code == 0
    assert result["champion"] is None
    assert trained["model_version"] in err  # as a table for people
    first = result["models"][0]
    assert (first["model_version"], first["local"], first["published"]) == (trained["model_version"], True, False)


def test_evaluate_judges_a_stored_model_on_given_rows(capsys):
    """Rows of another seed are judged at the model's own threshold."""
    _, trained, _ = call(capsys, "run", "--data", "sample:4000", "--trees", "15", "--jobs", "1")
    code, result, _ = call(capsys, "evaluate", "--data", "sample:2000:7")
    assert code == 0
    assert result["model_version"] == trained["model_version"]
    assert result["threshold"] == trained["threshold"]
    assert result["data"]["rows"] == 2000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--data", "no/such.csv"], "no/such.csv: no such file"),
        (["run", "--data", "gs://bucket/x"], "is no data source"),
        (["run", "--data", ""], "is no data source"),
        (["run", "--data", "s3://bkt"], "expected s3://bucket/key, or a folder that ends in /"),
        (["run", "--data", "sample:1000:3", "--trees", "1"], "every fraud among the validation rows scores 0"),
        (["run", "--data", "sample:3"], "sample"),
        (["run", "--data", "sample", "--publish"], "FRAUD_S3_URI is not set"),
        (["evaluate", "--model", "fraud_detector:nosuchversion", "--data", "sample"], "the model store has no"),
        (["evaluate", "--model", "nosuchversion", "--data", "sample"], "the model store has no"),
        (["evaluate", "--model", "champion", "--data", "sample"], "no champion is known here: set FRAUD_S3_URI"),
        (["publish", "nosuchversion"], "the model store has no"),
        (["pull", "champion"], "FRAUD_S3_URI is not set"),
        (["promote", "abc"], "FRAUD_S3_URI is not set"),
        (["data", "pull", "x"], "FRAUD_S3_URI is not set"),
    ],
)
def test_a_stated_error_is_one_line_and_exit_code_1(capsys, arguments, words):
    """No traceback, nothing on stdout, and the line says what is wrong."""
    code, result, err = call(capsys, *arguments)
    assert (code, result) == (1, None)
    assert words in err
    assert "Traceback" not in err
    assert [line for line in err.splitlines() if line.startswith("error: ")] == [err.splitlines()[-1]]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["run"],
        ["run", "--data", "sample", "--split", "random"],
        ["run", "--data", "sample", "--trees", "0"],
        ["run", "--data", "sample", "--max-samples", "2"],
        ["run", "--data", "sample", "--fraud-weight", "-1"],
        ["run", "--data", "sample", "--seed", "-1"],
        ["run", "--data", "sample", "--jobs", "0"],
        ["run", "--data", "sample", "--jobs", "-2"],
        ["run", "--data", "sample", "--backend", "dask"],
        ["run", "--data", "sample", "--scheduler", "tcp://127.0.0.1:1"],
        ["retrain", "--backend", "dask"],
        ["retrain", "--scheduler", "tcp://127.0.0.1:1"],
        ["data"],
    ],
)
def test_wrong_usage_is_exit_code_2(capsys, arguments):
    """argparse's own words and code."""
    with pytest.raises(SystemExit) as ended:
        command.main(program.parser(), arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize("verb", ["run", "evaluate", "publish", "list", "pull", "promote", "serve"])
def test_help_shows_examples(capsys, verb):
    """Every verb's help ends with commands to copy."""
    with pytest.raises(SystemExit):
        command.main(program.parser(), [verb, "--help"])
    assert f"python -m training {verb}" in capsys.readouterr().out.partition("examples:")[2]


def test_serving_without_s3_takes_the_newest_local_model(capsys):
    """The tag is pinned to a version, so that a model trained meanwhile does not slip in."""
    _, trained, _ = call(capsys, "run", "--data", "sample:3000", "--trees", "5", "--jobs", "1")
    assert serve.choose_model(Settings(), Steps()) == f"fraud_detector:{trained['model_version']}"
    assert "serving the local fraud_detector" in capsys.readouterr().err


def test_serving_a_model_that_is_not_there_is_a_stated_error():
    """A pinned FRAUD_MODEL is never replaced by another."""
    with pytest.raises(serve.store.ModelError, match="the model store has no fraud_detector:gone"):
        serve.choose_model(Settings(model="fraud_detector:gone"), Steps())


def test_the_help_of_the_program_lists_every_verb(capsys):
    """``--help`` on top names each verb with its summary."""
    with pytest.raises(SystemExit) as ended:
        command.main(program.parser(), ["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for verb in ("run", "retrain", "simulate", "evaluate", "list", "promote", "rollback", "pull", "bucket", "data"):
        assert f"    {verb} " in said
