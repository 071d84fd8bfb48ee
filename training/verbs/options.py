"""What several verbs ask for in the same words."""

import argparse
from typing import TYPE_CHECKING

from fraud.argument_types import cores, positive, seed, share, weight

if TYPE_CHECKING:
    from fraud.manifest import Recipe

_RECIPE = ("trees", "max_samples", "fraud_weight", "target_precision", "seed")


def add_data(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """``--data``: where rows come from."""
    parser.add_argument(
        "--data",
        nargs="+",
        required=required,
        metavar="SOURCE",
        help="CSV or Parquet path, s3://bucket/key, openml, or sample[:ROWS[:SEED]]; several are joined in time order"
        + ("" if required else "; everything below dataset/ in FRAUD_S3_URI by default"),
    )


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """How to split and fit; the handler begins with ``check_backend``."""
    parser.add_argument(
        "--split",
        choices=("time", "stratified"),
        default="time",
        help="test on the latest 20 %% (default), or on a random 20 %%",
    )
    parser.add_argument("--trees", type=positive, metavar="N", help="number of trees")
    parser.add_argument("--max-samples", type=share, metavar="SHARE", help="share of the rows each tree is fitted on")
    parser.add_argument("--fraud-weight", type=weight, metavar="W", help="weight of a fraud beside a legitimate row")
    parser.add_argument(
        "--target-precision", type=share, metavar="P", help="precision the threshold must reach on validation rows"
    )
    parser.add_argument("--seed", type=seed, metavar="N", help="seed of the forest, and of the split unless stated")
    parser.add_argument("--jobs", type=cores, default=-1, metavar="N", help="processor cores for fitting; -1 means all")
    parser.add_argument("--backend", choices=("local", "dask"), default="local", help="where to fit")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of the Dask cluster, such as tcp://host:8786")


def check_backend(arguments: argparse.Namespace) -> None:
    """``--backend dask`` and ``--scheduler`` go together: one alone is wrong usage."""
    if arguments.backend == "dask" and not arguments.scheduler:
        arguments.wrong_usage("--backend dask needs --scheduler ADDRESS")
    if arguments.backend != "dask" and arguments.scheduler is not None:
        arguments.wrong_usage("--scheduler needs --backend dask")


def recipe(arguments: argparse.Namespace) -> "Recipe":
    """The defaults, with what the command line says."""
    from training.train import DEFAULTS

    chosen = {name: getattr(arguments, name) for name in _RECIPE}
    return DEFAULTS.model_copy(update={name: value for name, value in chosen.items() if value is not None})
