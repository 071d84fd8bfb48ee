"""What several verbs ask for in the same words."""

import argparse
from typing import TYPE_CHECKING

from fraud.argument_types import cores, features, limit, local_file, part, period, positive, seed, share, weight

if TYPE_CHECKING:
    from fraud.inputs.keys import KeyHasher
    from fraud.manifest import Recipe
    from fraud.schema import Schema
    from training.split import Period

_RECIPE = (
    *("estimator", "trees", "max_samples", "max_features", "min_samples_leaf", "max_depth", "fraud_weight"),
    *("target_precision", "seed", "missing_histories", "summaries"),
)


def add_data(
    parser: argparse.ArgumentParser,
    *,
    required: bool = True,
    by_default: str = "everything below dataset/ in FRAUD_S3_URI",
) -> None:
    """``--data``: where rows come from."""
    parser.add_argument(
        "--data",
        nargs="+",
        required=required,
        metavar="SOURCE",
        help="CSV or Parquet path, s3://bucket/key, openml, or sample[:ROWS[:SEED]]; several are joined in time order"
        + ("" if required else f"; {by_default} by default"),
    )


def add_split(parser: argparse.ArgumentParser) -> None:
    """Which rows a model is tested on."""
    parser.add_argument(
        "--split",
        choices=("time", "stratified"),
        help="test on the latest 20 %% (default where the schema names a time), or on a random 20 %%; `retrain` splits "
        "as its champion was split",
    )
    parser.add_argument(
        "--train", type=period, metavar="FROM..TO", help="fit on these days, such as 2018-07-25..2018-07-31"
    )
    parser.add_argument("--test", type=period, metavar="FROM..TO", help="test on these days; goes with --train")


def add_base(parser: argparse.ArgumentParser) -> None:
    """The recipe to begin with, and what of it is no matter of the forest; ``--jobs``."""
    parser.add_argument(
        "--recipe",
        type=local_file,
        metavar="FILE",
        help="TOML file of settings, instead of training/recipes/NAME.toml for the schema NAME, where `tune --use` "
        "writes it; without either the defaults hold, and what is said here goes before all",
    )
    parser.add_argument(
        "--missing-histories",
        type=part,
        metavar="SHARE",
        help="share of the fitting rows whose [[history]] is taken away, so that the forest knows what missing means "
        "(default none: docs/history.md says what for)",
    )
    parser.add_argument(
        "--summaries",
        action=argparse.BooleanOptionalAction,
        help="three more features that sum up the row: a linear discriminant, a logistic regression, and the distance "
        "from what is usual (default no: docs/tuning.md says where they help)",
    )
    parser.add_argument("--seed", type=seed, metavar="N", help="seed of the forest, and of the split unless stated")
    parser.add_argument("--jobs", type=cores, default=-1, metavar="N", help="processor cores for fitting; -1 means all")


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """How to split and fit; the handler begins with ``check_backend``."""
    add_split(parser)
    add_base(parser)
    parser.add_argument(
        "--estimator",
        choices=("random-forest", "extra-trees"),
        help="the forest: random (default), or of extremely randomized trees; a recipe may have both",
    )
    parser.add_argument("--trees", type=positive, metavar="N", help="number of trees")
    parser.add_argument("--max-samples", type=share, metavar="SHARE", help="share of the rows each tree is fitted on")
    parser.add_argument(
        "--max-features", type=features, metavar="SHARE", help="share of the features a split is chosen from, or sqrt"
    )
    parser.add_argument("--min-samples-leaf", type=limit, metavar="N", help="fewest rows of a leaf")
    parser.add_argument("--max-depth", type=limit, metavar="N", help="of a tree (default: any)")
    parser.add_argument("--fraud-weight", type=weight, metavar="W", help="weight of a fraud beside a legitimate row")
    parser.add_argument(
        "--target-precision", type=share, metavar="P", help="precision the threshold must reach on validation rows"
    )
    parser.add_argument("--backend", choices=("local", "dask"), default="local", help="where to fit")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of the Dask cluster, such as tcp://host:8786")


def hasher() -> "KeyHasher | None":
    """What keys are hashed with, where ``FRAUD_KEY_SECRET`` is set. Raises SettingsError."""
    from fraud.settings import Settings

    return Settings.from_env().key_hasher


def periods(arguments: argparse.Namespace) -> "tuple[Period, Period] | None":
    """Of ``--train`` and ``--test``, which go together and leave no room for ``--split``."""
    if (arguments.train is None) != (arguments.test is None):
        arguments.wrong_usage("--train and --test go together: give both")
    if arguments.train is None:
        return None
    if arguments.split is not None:
        arguments.wrong_usage("--train and --test say how to split: leave --split out")
    if arguments.train[0] < arguments.test[1] and arguments.test[0] < arguments.train[1]:
        arguments.wrong_usage("--train and --test overlap: no row may be on both sides")
    return arguments.train, arguments.test


def check_backend(arguments: argparse.Namespace) -> None:
    """``--backend dask`` and ``--scheduler`` go together: one alone is wrong usage."""
    if arguments.backend == "dask" and not arguments.scheduler:
        arguments.wrong_usage("--backend dask needs --scheduler ADDRESS")
    if arguments.backend != "dask" and arguments.scheduler is not None:
        arguments.wrong_usage("--scheduler needs --backend dask")


def recipe(arguments: argparse.Namespace, schema: "Schema") -> "Recipe":
    """That of the file that is named, or of the schema, else the defaults; with what the command line says.

    A file that is taken is told. Raises FraudError.
    """
    from training.console import Steps
    from training.tuning import recipe_file

    chosen = {name: getattr(arguments, name, None) for name in _RECIPE}
    stated = {name: value for name, value in chosen.items() if value is not None}
    found = recipe_file.of(schema.name, arguments.recipe)
    file = arguments.recipe or recipe_file.path_of(schema.name)
    if file.exists():
        Steps().say(f"recipe: {file}")
    return found.model_copy(update=stated)
