"""``python -m training tune`` as a user meets it; the rest is in tests/e2e/test_tuning.py."""

import subprocess
import sys

import pytest

from fraud import command
from fraud.schema import default
from tests.training.test_main import call
from tests.training.tuning import small
from training import __main__ as program
from training.tuning import BOOSTERS, recipe_file
from training.tuning.recipe_file import FraudError
from training.verbs import options


@pytest.mark.parametrize(
    "wrong",
    [
        *[("--trials", "0"), ("--minutes", "-1"), ("--memory-gb", "0"), ("--most-cost", "0.5"), ("--folds", "1")],
        *[("--study", "../x"), ("--also", "catboost"), ("--train", "2018-07-25..2018-07-31")],
        *[("--use", "mine.toml/"), ("--use", "."), ("--use", ""), ("--recipe", "mine.toml/")],
    ],
    ids=str,
)
def test_wrong_usage_is_told(wrong, capsys):
    """Exit code 2, with the name of the option."""
    with pytest.raises(SystemExit) as ended:
        command.main(program.parser(), ["tune", "--data", "sample:1000", *wrong])
    assert ended.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def test_boosters_are_named_once_and_none_is_loaded_to_read_arguments():
    """Nor what searches: the help is there at once."""
    code = (
        "import sys; from training.__main__ import parser; parser(); from training.tuning import BOOSTERS; "
        "print(sorted({*BOOSTERS, 'optuna', 'sklearn'} & {*sys.modules}), *BOOSTERS)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["[]", *BOOSTERS]
    arguments = program.parser().parse_args(["tune", "--data", "sample", "--also", *BOOSTERS])
    assert tuple(arguments.also) == BOOSTERS


def test_the_result_is_one_document_and_the_rest_is_told(tmp_path, monkeypatch, capsys):
    """With a path to write to that is named; the recipe that a schema has stays."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(recipe_file, "FOLDER", tmp_path / "recipes")
    small.frame().to_parquet(tmp_path / "rows.parquet")
    wanted = ("--trials", "1", "--jobs", "1", "--use", str(tmp_path / "mine.toml"))
    code, found, err = call(capsys, "tune", "--data", str(tmp_path / "rows.parquet"), *wanted)
    assert code == 0
    assert found["study"] == str(tmp_path / "home" / "fraud_tuning" / "creditcard")
    assert found["recipe_file"] == str(tmp_path / "mine.toml")
    assert "forest 1 of 1" in err
    assert not recipe_file.FOLDER.exists()


def test_a_recipe_is_looked_for_by_the_name_of_the_schema(tmp_path, monkeypatch):
    """Of whichever schema a retrain comes to; what the command line says goes before it."""
    monkeypatch.setattr(recipe_file, "FOLDER", tmp_path)
    (tmp_path / "shop.toml").write_text("trees = 7\nmax_depth = 5\n")
    (tmp_path / "broken.toml").write_text("trees = 0\n")
    arguments = program.parser().parse_args(["retrain", "--max-depth", "3"])
    shop, broken = (default().model_copy(update={"name": name}) for name in ("shop", "broken"))
    assert options.recipe(arguments, default()).trees == 100
    recipe = options.recipe(arguments, shop)
    assert (recipe.trees, recipe.max_depth) == (7, 3)
    with pytest.raises(FraudError, match=r"broken\.toml: trees"):
        options.recipe(arguments, broken)


def test_a_recipe_that_is_taken_is_told(tmp_path, monkeypatch, capsys):
    """The file that lies in the checkout as the one that is named; the defaults are not."""
    monkeypatch.setattr(recipe_file, "FOLDER", tmp_path / "recipes")
    (tmp_path / "mine.toml").write_text("trees = 7\n")
    plain, named = (
        program.parser().parse_args(["run", "--data", "sample", *more])
        for more in ([], ["--recipe", str(tmp_path / "mine.toml")])
    )
    options.recipe(plain, default())
    assert capsys.readouterr().err == ""
    options.recipe(named, default())
    assert "mine.toml" in capsys.readouterr().err
    recipe_file.FOLDER.mkdir()
    recipe_file.path_of("creditcard").write_text("trees = 7\n")
    options.recipe(plain, default())
    assert "creditcard.toml" in capsys.readouterr().err
