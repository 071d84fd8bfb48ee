"""The commands on schemas, and the one that makes a file to try them on."""

import json

import pytest

from fraud import command, schema
from training.verbs import PROGRAM
from training.verbs import sample as sample_verb
from training.verbs import schema as schema_verb


@pytest.fixture
def call(capsys):
    """Exit code, stdout and stderr of one command."""

    def run(*arguments):
        code = command.main(command.front(PROGRAM, "", (schema_verb, sample_verb)), [str(one) for one in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def shop(call, tmp_path):
    """A file of the shop."""
    code, out, _ = call("sample", tmp_path / "shop.csv", "--rows", 2000)
    assert (code, json.loads(out)["frauds"]) == (0, 40)
    return tmp_path / "shop.csv"


def test_infer_prints_the_schema_alone(call, shop):
    """TOML on stdout, and on stderr what to look at."""
    code, out, err = call("schema", "infer", shop)
    assert code == 0
    assert schema.parse(out, "stdout").roles.label == "is_fraud"
    assert "2,000 rows read (CSV, semicolons, decimal commas, UTF-8); look at:" in err
    assert "  note: free text: not used" in err


def test_infer_writes_a_file_and_never_over_one(call, shop, tmp_path):
    """The document on stdout says what was written; the second time it is refused, and nothing is left behind."""
    target = tmp_path / "shop.toml"
    code, out, _ = call("schema", "infer", shop, "--output", target)
    assert (code, json.loads(out)["rows"], json.loads(out)["schema"]) == (0, 2000, str(target))
    assert schema.read(target).name == "shop"
    target.write_text("mine")
    code, out, err = call("schema", "infer", shop, "--output", target)
    assert (code, out) == (1, "")
    assert "is there already; say --replace" in err
    assert target.read_text() == "mine"
    assert call("schema", "infer", shop, "--output", target, "--replace")[0] == 0
    assert schema.read(target).name == "shop"


def test_infer_leaves_no_file_when_it_fails(call, tmp_path):
    """Whole or not at all."""
    (tmp_path / "bad.csv").write_text("a\n1\n")
    code, out, _ = call("schema", "infer", tmp_path / "bad.csv", "--output", tmp_path / "bad.toml")
    assert (code, out) == (1, "")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


def test_check_says_what_is_wrong_and_ends_with_1(call, shop, tmp_path):
    """And with 0 where nothing is."""
    call("schema", "infer", shop, "--output", tmp_path / "shop.toml")
    code, out, _ = call("schema", "check", shop, "--schema", tmp_path / "shop.toml")
    document = json.loads(out)
    assert (code, document["rows"], document["frauds"], document["unseen_columns"]) == (0, 2000, 40, [])
    broken = shop.read_text("utf-8-sig").replace(";DE;", ";;", 1).replace("2024-01-01 ", "yesterday ", 1)
    (tmp_path / "broken.csv").write_text(broken)
    code, out, err = call("schema", "check", tmp_path / "broken.csv", "--schema", tmp_path / "shop.toml")
    assert code == 1
    [file] = json.loads(out)["files"]
    assert len(file["problems"]) == 2
    assert all(problem in err.replace("\n", " ") for problem in file["problems"])


def test_check_names_a_file_that_is_not_there_once(call, tmp_path):
    """Its problem begins with the name already."""
    code, out, err = call("schema", "check", tmp_path / "nosuch.csv")
    assert (code, err.count("nosuch.csv")) == (1, 1)
    assert json.loads(out)["files"][0]["problems"] == [err.strip().replace("\n", " ")]


def test_check_takes_the_default_schema(call, shop):
    """Where none is named."""
    code, out, _ = call("schema", "check", shop)
    assert (code, json.loads(out)["schema"]) == (1, "creditcard")


def test_example_is_one_json_document(call, shop, tmp_path):
    """With and without a file."""
    call("schema", "infer", shop, "--output", tmp_path / "shop.toml")
    for more in ((), (shop,)):
        code, out, err = call("schema", "example", "--schema", tmp_path / "shop.toml", *more)
        assert (code, err) == (0, "")
        assert "amount" in json.loads(out)


@pytest.mark.parametrize("arguments", [["schema"], ["schema", "infer"], ["schema", "infer", "x.csv", "--replace"]])
def test_wrong_usage(call, arguments):
    """argparse's own words and code."""
    with pytest.raises(SystemExit) as ended:
        call(*arguments)
    assert ended.value.code == 2
