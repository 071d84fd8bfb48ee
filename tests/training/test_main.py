"""The training commands as a user meets them: JSON on stdout, words on stderr, exit codes."""

import json

import numpy as np
import pytest

from fraud import command, store
from fraud.errors import RegistryError
from fraud.schema import default
from training import __main__ as program
from training import data, sample
from training.console import Steps
from training.dataset import row_hashes
from training.shipping import serve
from training.shipping.serve import Settings
from training.stored import evaluate_stored


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


@pytest.fixture
def trained(capsys):
    """A model that was fitted on the earlier 80 % of ``sample:4000``."""
    return call(capsys, "run", "--data", "sample:4000", "--trees", "15", "--jobs", "1")[1]


def test_evaluate_says_how_many_rows_the_model_was_trained_on(capsys, trained):
    """All of its training side, counted in the document and in one warning; progress is told."""
    code, result, err = call(capsys, "evaluate", "--data", "sample:4000")
    assert code == 0
    assert (result["trained_rows"], result["trained_rows_skipped"]) == (trained["split"]["train_rows"], False)
    assert result["data"]["rows"] == 4000
    [warned] = [line for line in err.splitlines() if line.startswith("warning:")]
    assert warned == (
        f"warning: the model was trained on {result['trained_rows']} of 4000 rows, which flatters the figures; "
        "--skip-trained leaves them out"
    )
    assert "Loading sample:4000" in err


def test_evaluate_leaves_trained_rows_out_when_asked(capsys, trained):
    """Then the figures are those of the test rows alone, as the run that made the model found them."""
    code, result, err = call(capsys, "evaluate", "--data", "sample:4000", "--skip-trained")
    rows = trained["split"]["train_rows"]
    assert code == 0
    assert (result["trained_rows"], result["trained_rows_skipped"]) == (rows, True)
    assert result["data"]["rows"] == trained["split"]["test_rows"] == 4000 - rows
    assert result["metrics"] == trained["metrics"]
    assert f"left out {rows} of 4000 rows that the model was trained on" in err
    assert "warning" not in err


def test_evaluate_warns_of_nothing_on_other_rows(capsys, trained):
    """0 of them were trained on."""
    _, result, err = call(capsys, "evaluate", "--data", "sample:2000:7", "--skip-trained")
    assert (result["trained_rows"], result["data"]["rows"]) == (0, 2000)
    assert "warning" not in call(capsys, "evaluate", "--data", "sample:2000:7")[2] + err


def test_evaluate_says_when_the_training_rows_are_not_known(capsys, trained):
    """None, not 0, and a warning; leaving them out is then refused."""
    path = store.rows_path(trained["model_version"])
    path.unlink()
    code, result, err = call(capsys, "evaluate", "--data", "sample:4000")
    assert (code, result["trained_rows"]) == (0, None)
    assert "whether the model was trained on these rows is not known" in err
    code, result, err = call(capsys, "evaluate", "--data", "sample:4000", "--skip-trained")
    assert (code, result) == (command.EXIT_ERROR, None)
    assert "its training rows are not known here, and so cannot be left out" in err


@pytest.mark.parametrize("content", [b"", b"no array", "labels"], ids=repr)
def test_evaluate_refuses_damaged_hashes(capsys, trained, content):
    """No row would be found among them."""
    path = store.rows_path(trained["model_version"])
    if content == "labels":
        np.save(path, np.zeros(4, np.int8))
    else:
        path.write_bytes(content)
    code, result, err = call(capsys, "evaluate", "--data", "sample:4000")
    assert (code, result) == (command.EXIT_ERROR, None)
    assert f"{path}: " in err
    assert "pull or train the model again" in err


def test_evaluate_on_trained_rows_alone_has_nothing_left(capsys, tmp_path, trained):
    """Said in one line."""
    sample.generate(4000).sort_values("Time")[:1000].to_parquet(tmp_path / "early.parquet")
    code, _, err = call(capsys, "evaluate", "--data", str(tmp_path / "early.parquet"), "--skip-trained")
    assert code == command.EXIT_ERROR
    assert "early.parquet is left; give more data" in err


class Published:
    """Stands in for a registry: it has the hashes of one version's rows or none, or fails."""

    def __init__(self, hashes, error=None):
        self.hashes, self.error = hashes, error

    def published(self, _):
        if self.error:
            raise self.error
        return None if self.hashes is None else self

    def row_hashes(self, _):
        return self.hashes


@pytest.mark.parametrize(
    ("remote", "expected", "words"),
    [
        (lambda: Published(row_hashes(data.load(["sample:4000"], default()).rows[:100])), 100, "on 100 of 4000 rows"),
        (lambda: Published(None), None, "is not known"),
        (lambda: Published(None, RegistryError("s3://b: is away")), None, "s3://b: is away"),
    ],
    ids=["published", "not published", "away"],
)
def test_evaluate_asks_the_registry_for_rows_that_are_not_here(capsys, trained, remote, expected, words):
    """Of a published model S3 knows them; where it does not, or cannot be asked, they are unknown."""
    tag = f"fraud_detector:{trained['model_version']}"
    store.rows_path(trained["model_version"]).unlink()
    assert evaluate_stored(tag, ["sample:4000"], Steps(), remote())["trained_rows"] == expected
    assert words in capsys.readouterr().err


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
