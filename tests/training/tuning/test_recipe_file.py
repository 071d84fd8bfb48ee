"""Recipes as files: what is written is read, and what is wrong is said by file and key."""

import os
from pathlib import Path

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


def test_the_recipe_that_comes_with_the_code_is_one():
    """Trees of three kinds, the first as in the defaults; it is taken for no schema by itself."""
    recipe = recipe_file.read(recipe_file.FOLDER.parent / "mixed.toml")
    assert recipe.model_copy(update={"also": (), "summaries": False}) == DEFAULTS
    assert [(kind.estimator, kind.trees) for kind in recipe.also] == [("extra-trees", 100)] * 2
    assert recipe_file.of("mixed") == DEFAULTS


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
        ('max_depth = "none"', "max_depth should be a valid integer, got 'none'; leave it out for any depth"),
        ('[[also]]\nmax_depth = "none"', "[[also]] 1: max_depth should be a valid integer, got 'none'; leave it out"),
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
        (
            "[also]\ntrees = 1",
            "each headed [[also]] in two pairs of brackets, got {'trees': 1}",
        ),
        ("also = [1]", "also should be at most 7 tables, each headed [[also]] in two pairs of brackets, got [1]"),
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
    (tmp_path / "long.toml").write_text(f'estimator = "{"x" * 10_000}"')
    with pytest.raises(FraudError, match=r"got 'xxx+\.\.\.$") as error:
        recipe_file.read(tmp_path / "long.toml")
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (r'"\u001b[31mtrees\u0007" = 1', r"'\x1b[31mtrees\x07': no such setting"),
        (r'"tr\u202Eees" = 1', r"'tr\u202eees': no such setting"),
        ('"" = 1', "'': no such setting"),
        (f"{'x' * 9_000} = 1", f"'{'x' * 79}...: no such setting"),
        (f"trees.{'a.' * 4_000}a = 1", "trees should be a valid integer, got tables within tables"),
        (f"[{'a' * 4_000}]\n" * 2, "not TOML: Cannot declare"),
    ],
    ids=["control characters", "right to left", "empty", "long key", "deep", "long header"],
)
def test_what_is_told_of_a_file_is_one_short_line_of_letters(tmp_path, text, words):
    """Whatever its keys are, a terminal is told no commands, and is not filled."""
    (tmp_path / "odd.toml").write_text(text)
    with pytest.raises(FraudError) as error:
        recipe_file.read(tmp_path / "odd.toml")
    told = str(error.value).removeprefix(f"{tmp_path / 'odd.toml'}: ")
    assert told.startswith(words)
    assert told.isprintable()
    assert len(told) < 500


def test_of_a_huge_file_only_the_beginning_is_read(tmp_path, monkeypatch):
    """It is refused for its length, and never parsed; /dev/zero has no end."""
    monkeypatch.setattr(recipe_file.tomllib, "loads", lambda _: pytest.fail("parsed"))
    (tmp_path / "huge.toml").write_text("# \n" * 40_000)
    for path in (tmp_path / "huge.toml", Path("/dev/zero")):
        with pytest.raises(FraudError, match="longer than 16000 bytes; expected a TOML file of settings"):
            recipe_file.read(path)


def test_a_recipe_that_was_found_by_a_long_command_is_read(tmp_path):
    """As where thousands of files were named."""
    path = tmp_path / "long.toml"
    recipe_file.write(path, TUNED, ["Found by: " + "\N{GRINNING FACE}" * 1_000_000, "trial 1 of 3"])
    assert recipe_file.read(path) == TUNED
    assert "\n# trial 1 of 3\n" in path.read_text()


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


def test_a_weight_that_no_fit_would_end_with_is_refused_alike_in_a_file_and_on_the_command_line(
    folder, tmp_path, capsys
):
    """In the same words, as it depends on the rows."""
    (tmp_path / "heavy.toml").write_text("fraud_weight = 900000.0\n")
    data = ("run", "--data", "sample:3000", "--jobs", "1")
    said = [
        call(capsys, *data, *more)
        for more in (("--recipe", str(tmp_path / "heavy.toml")), ("--fraud-weight", "900000"))
    ]
    assert [code for code, _, _ in said] == [1, 1]
    refusals = [err.splitlines()[-1] for _, _, err in said]
    assert refusals[0] == refusals[1]
    assert "expected a weight of a fraud" in refusals[0]


def test_a_recipe_is_written_to_a_file_alone(tmp_path):
    """No device, link or folder makes way for it."""
    (tmp_path / "link.toml").symlink_to(tmp_path / "nowhere.toml")
    os.mkfifo(tmp_path / "pipe.toml")
    for name, words in (("link", "no file but"), ("pipe", "no file but"), ("x" * 300, "name too long")):
        with pytest.raises(FraudError, match=words):
            recipe_file.write(tmp_path / f"{name}.toml", DEFAULTS, [])
    assert (tmp_path / "link.toml").is_symlink()
    assert (tmp_path / "pipe.toml").is_fifo()
    with pytest.raises(FraudError, match="no file but"):
        recipe_file.check_writable(Path(os.devnull))
