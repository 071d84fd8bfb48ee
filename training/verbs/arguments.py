"""What several verbs ask for in the same words."""

import argparse
from typing import TYPE_CHECKING, Any

from fraud.remote.registry import Registry
from fraud.settings import Settings, not_set

if TYPE_CHECKING:
    from fraud.command import Handler
    from training.train import Recipe

PROGRAM = "python -m training"

_RECIPE = ("trees", "max_samples", "fraud_weight", "target_precision", "seed")


def registry() -> Registry:
    """The registry at ``FRAUD_S3_URI``. Raises SettingsError when it is not set."""
    uri = Settings.from_env().s3_uri
    if uri is None:
        raise not_set("FRAUD_S3_URI")
    return Registry(uri.rstrip("/"))


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
    """How to split and fit; called once the parser has its handler, before which what was given is checked."""
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
    handler: Handler = parser.get_default("handler")

    def checked(given: argparse.Namespace) -> Any:  # noqa: ANN401 - as a handler's
        check_backend(parser, given)
        return handler(given)

    parser.set_defaults(handler=checked)


def check_backend(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """``--backend dask`` and ``--scheduler`` go together: one alone is wrong usage."""
    if given.backend == "dask" and not given.scheduler:
        parser.error("--backend dask needs --scheduler ADDRESS")
    if given.backend != "dask" and given.scheduler is not None:
        parser.error("--scheduler needs --backend dask")


def recipe(given: argparse.Namespace) -> "Recipe":
    """The defaults, with what was given on the command line."""
    from training.train import Recipe

    chosen = {name: getattr(given, name) for name in _RECIPE}
    return Recipe(**{name: value for name, value in chosen.items() if value is not None})


def share(text: str) -> float:
    """A number above 0 and at most 1."""
    number = float(text)
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"expected a share above 0 and at most 1, got {text}")
    return number


def weight(text: str) -> float:
    """A positive number below a million."""
    number = float(text)
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"expected a positive weight, got {text}")
    return number


def seed(text: str) -> int:
    """What scikit-learn takes as a seed."""
    number = int(text)
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to {2**32 - 1}, got {text}")
    return number


def positive(text: str) -> int:
    """A whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return number


def cores(text: str) -> int:
    """A whole number from 1 on, or -1 for all there are."""
    number = int(text)
    if number != -1 and number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, or -1 for all cores, got {text}")
    return number


def port(text: str) -> int:
    """What can be listened on."""
    number = int(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, got {text}")
    return number
