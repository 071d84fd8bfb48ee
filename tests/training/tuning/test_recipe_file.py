"""Recipes as files: what is written is read, and what is wrong is said by file and key."""

import pytest

from fraud.errors import FraudError
from fraud.manifest import Trees
from tests.training.test_main import call
from training.train import DEFAULTS
from training.tuning import recipe_file

TUNED = DEFAULTS.model_copy(
    update={
        "trees": 12,
        "max_features": 0.25,
        "max_depth": 9,
        "also": (
            Trees(estimator="extra-trees", trees=5, criterion="gini", max_samples=0.3, fraud_weight=2.0),
            Trees(trees=4, criterion="entropy", max_samples=1.0, fraud_weight=1.0, min_samples_leaf=2),
        ),
    }
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where recipes are kept, of this test alone."""
    monkeypatch.setattr(recipe_file, "FOLDER", tmp_path / "recipes")
    return tmp_path / "recipes"


@pytest.mark.parametrize("recipe", [DEFAULTS, TUNED], ids=["defaults", "tuned"])
def test_what_is_written_is_read(folder, recipe):
    """Every setting, with the lines of comment before them; the folder is made."""
    recipe_file.write(recipe_file.path_of("shop"), recipe, ["found by", "some\nbody"])
    assert (folder / "shop.toml").read_text().startswith("# found by\n# some body\nestimator = ")
    assert recipe_file.of("shop") == recipe


def test_a_schema_without_a_recipe_has_the_defaults(folder):
    """Whether or not there is a folder, and whatever other schemas have."""
    assert recipe_file.of("shop") == DEFAULTS
    recipe_file.write(recipe_file.path_of("other"), TUNED, [])
    assert recipe_file.of("shop") == DEFAULTS


def test_what_a_file_leaves_out_is_as_in_the_defaults(tmp_path):
    """A file of one line is enough."""
    (tmp_path / "one.toml").write_text("trees = 7\n")
    assert recipe_file.read(tmp_path / "one.toml") == DEFAULTS.model_copy(update={"trees": 7})


def test_further_kinds_of_trees_have_the_defaults_too(tmp_path):
    """Not what the first kind has."""
    (tmp_path / "two.toml").write_text('trees = 7\nmax_depth = 3\n[[also]]\nestimator = "extra-trees"\n[[also]]\n')
    first, *others = recipe_file.read(tmp_path / "two.toml").kinds
    assert (first.trees, first.max_depth) == (7, 3)
    usual = DEFAULTS.model_dump(include=set(Trees.model_fields))
    assert [kind.model_dump() for kind in others] == [usual | {"estimator": "extra-trees"}, usual]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tres = 1", "tres: no such setting; there are estimator, trees, "),
        ('trees = "many"', "trees should be a valid integer, got 'many'"),
        ("trees = true", "trees should be a valid integer"),
        ("trees = 0", "trees should be greater than or equal to 1, got 0"),
        ("max_samples = 1.5", "max_samples should be less than or equal to 1, got 1.5"),
        ("fraud_weight = nan", "fraud_weight should be a finite number"),
        ('max_features = "log2"', "max_features should be 'sqrt', or should be a valid number, got 'log2'"),
        ("max_features = 0.0", "or should be greater than 0, got 0.0"),
        ("max_depth = 0", "max_depth should be greater"),
        ('estimator = "boosted"', "estimator should be 'random-forest' or 'extra-trees', got 'boosted'"),
        ("seed = -1", "seed should be greater than or equal to 0"),
        ("[forest]\ntrees = 3", "forest: no such setting"),
        ("[[also]]\ntres = 1", "[[also]] 1: tres: no such setting; there are estimator, trees, "),
        ("[[also]]\n[[also]]\ntrees = 0", "[[also]] 2: trees should be greater than or equal to 1, got 0"),
        (
            "[[also]]\nmax_features = 2",
            "[[also]] 1: max_features should be 'sqrt', or should be less than or equal to 1",
        ),
        ("[[also]]\nseed = 1", "[[also]] 1: seed: a setting of the whole, which stands before the first [[also]]"),
        ("[[also]]\nalso = 1", "[[also]] 1: also: a setting of the whole"),
        ("[also]\ntrees = 1", "also should be at most 7 tables, each headed [[also]], got {'trees': 1}"),
        ("also = [1]", "also should be at most 7 tables, each headed [[also]], got [1]"),
        ("[[also]]\n" * 8, "also should be at most 7 tables"),
        ("trees", "not TOML"),
        (f"trees = {'9' * 5000}", "not TOML"),
        (f"trees = 0x{'f' * 5000}", "trees should be less than or equal to 10000, got a number of too many digits"),
        (f"max_depth = {2**31}", "max_depth should be less than 2147483648"),
        (f"min_samples_leaf = {10**20}", "min_samples_leaf should be less than 2147483648"),
    ],
)
def test_what_is_wrong_is_said_by_file_and_key(tmp_path, text, words):
    """In one line each."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(FraudError) as error:
        recipe_file.read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert words in str(error.value)


def test_of_a_long_value_the_beginning_is_told(tmp_path):
    """A line stays a line."""
    (tmp_path / "long.toml").write_text(f'estimator = "{"x" * 100_000}"')
    with pytest.raises(FraudError, match=r"got 'xxx+\.\.\.$") as error:
        recipe_file.read(tmp_path / "long.toml")
    assert len(str(error.value)) < 1000


def test_a_file_that_is_named_must_be_there(tmp_path):
    """Unlike that of a schema."""
    with pytest.raises(FraudError, match=r"none\.toml: cannot be read"):
        recipe_file.of("shop", tmp_path / "none.toml")


def test_a_folder_that_cannot_be_written_is_a_stated_error(tmp_path, monkeypatch):
    """A file stands where the folder would."""
    (tmp_path / "recipes").write_text("")
    monkeypatch.setattr(recipe_file, "FOLDER", tmp_path / "recipes")
    with pytest.raises(FraudError, match=r"shop\.toml: cannot be written"):
        recipe_file.write(recipe_file.path_of("shop"), DEFAULTS, [])


@pytest.mark.parametrize("text", ["name = 'shop'\n[roles]\nlabel = 'fraud'\n", "Time,V1,Class\n0,1,0\n", ""])
def test_what_is_no_recipe_is_not_written_over(tmp_path, text):
    """A schema, or rows; a recipe is, and an empty file, which is one."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    if text:
        with pytest.raises(FraudError, match=r"not written over, as it is no recipe: .*mine\.toml"):
            recipe_file.write(path, TUNED, [])
        assert path.read_text() == text
    else:
        recipe_file.write(path, TUNED, [])
        recipe_file.write(path, DEFAULTS, [])
        assert recipe_file.read(path) == DEFAULTS


def test_run_takes_the_recipe_of_the_schema_and_the_command_line_goes_before_it(folder, capsys):
    """The manifest says which settings made the model."""
    recipe_file.write(recipe_file.path_of("creditcard"), TUNED, [])
    data = ("run", "--data", "sample:3000", "--jobs", "1")
    assert call(capsys, *data)[1]["settings"] == TUNED.model_dump(mode="json")
    _, result, _ = call(capsys, *data, "--trees", "6", "--max-features", "sqrt", "--max-depth", "4")
    changed = {"trees": 6, "max_features": "sqrt", "max_depth": 4}
    assert result["settings"] == TUNED.model_copy(update=changed).model_dump(mode="json")


def test_another_recipe_may_be_named(folder, tmp_path, capsys):
    """Then that of the schema does not count."""
    recipe_file.write(recipe_file.path_of("creditcard"), TUNED, [])
    (tmp_path / "mine.toml").write_text("trees = 5\n")
    _, result, _ = call(capsys, "run", "--data", "sample:3000", "--jobs", "1", "--recipe", str(tmp_path / "mine.toml"))
    assert result["settings"] == DEFAULTS.model_copy(update={"trees": 5}).model_dump(mode="json")


def test_a_wrong_recipe_ends_a_run_before_it_begins(folder, capsys):
    """In one line."""
    folder.mkdir()
    (folder / "creditcard.toml").write_text("trees = 0\n")
    code, result, err = call(capsys, "run", "--data", "sample:3000")
    assert (code, result) == (1, None)
    assert err.startswith("error: ")
    assert err.count("\n") == 1
