"""``python -m training summary``: a file in, Markdown appended to another."""

import argparse
import json

import pytest

from fraud import command
from tests.training.shipping.test_summary import outcome
from training.verbs import summary


@pytest.fixture
def call(capsys):
    parser = argparse.ArgumentParser()
    summary.add_to(parser.add_subparsers(required=True))

    def call(*arguments):
        code = command.main(parser, list(map(str, arguments)))
        return code, capsys.readouterr()

    return call


def test_the_command_appends_to_the_file_and_answers_json(call, tmp_path):
    """GITHUB_STEP_SUMMARY may hold what a step before wrote."""
    document, output = tmp_path / "retrain.json", tmp_path / "summary.md"
    document.write_text(json.dumps(outcome(promoted=True)))
    output.write_text("before\n")
    code, said = call("summary", document, "--output", output)
    assert (code, json.loads(said.out)) == (0, {"output": str(output)})
    assert output.read_text().startswith("before\n## Retraining")


def test_the_command_takes_the_cause(call, tmp_path):
    """As the workflow gives it: one word, which may be anything."""
    document, output = tmp_path / "retrain.json", tmp_path / "summary.md"
    document.write_text(json.dumps(outcome(promoted=True)))
    for cause in ('--cause={"alert": "A"}', "--cause=", "--cause=-x"):
        assert call("summary", document, "--output", output, cause)[0] == 0
    assert output.read_text().count("- alert: A\n") == 1
    assert output.read_text().count("does not say why") == 1


@pytest.mark.parametrize("content", [None, "", "[]", '{"champion": null}'])
def test_another_document_is_a_stated_error(call, tmp_path, content):
    """One line that says what was expected."""
    document = tmp_path / "retrain.json"
    if content is not None:
        document.write_text(content)
    code, said = call("summary", document, "--output", tmp_path / "summary.md")
    assert code == 1
    assert "expected what `python -m training retrain` printed" in said.err
