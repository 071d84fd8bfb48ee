"""The verb that judges models of the store beside one another: compare."""

import argparse
from typing import Any

from fraud import command
from fraud.argument_types import MODEL_NAMES, cores, positive
from fraud.command import Verbs
from fraud.remote.resolve import registry_if_set, resolve
from fraud.verbs import schema_option
from training.console import Steps
from training.verbs import PROGRAM, options


def add_to(verbs: Verbs) -> None:
    """Register the verb."""
    compare = command.subcommand(
        verbs,
        "compare",
        _compare,
        "Judge models on the same rows, without those that any of them was trained on; each beside the first, paired.",
        f"{PROGRAM} compare champion latest --data last_week.csv",
        f"{PROGRAM} compare abcdef123456 ghijkl123456 --data creditcard.csv",
        f"{PROGRAM} compare champion latest --data creditcard.csv --refit 5",
    )
    compare.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help=f"{MODEL_NAMES}; pulled from FRAUD_S3_URI when it is not here. The first is what the others are held to",
    )
    options.add_data(compare, required=False, by_default="what the first model was made of")
    schema_option.add_schema(compare)
    compare.add_argument(
        "--refit",
        type=positive,
        metavar="N",
        help="compare the recipes: fit each again on N divisions of all rows into folds, and judge out of fold",
    )
    compare.add_argument(
        "--jobs", type=cores, default=-1, metavar="N", help="processor cores for --refit; -1 means all"
    )


def _compare(arguments: argparse.Namespace) -> dict[str, Any]:
    if len(arguments.models) < 2:
        arguments.wrong_usage("give two models or more; `evaluate` judges one")
    from training.judging.compare import compare

    remote = registry_if_set()
    document = compare(
        [resolve(name, remote, pull=True).version for name in arguments.models],
        arguments.data or [],
        Steps(),
        remote,
        schema=schema_option.schema_given(arguments),
        hasher=options.hasher(),
        repeats=arguments.refit or 0,
        jobs=arguments.jobs,
    )
    _show(document)
    return document


def _show(document: dict[str, Any]) -> None:
    """The same as tables for people, on stderr: the figures of each, the differences from the first, what to do."""
    first, *others = document["models"]
    _table([(model["model_version"], _figures(model)) for model in document["models"]])
    less = f"less {first['model_version']}"
    _table(
        [
            (
                model["model_version"],
                {f"{name}, {less}": _interval(one, "+") for name, one in model["differences"].items()},
            )
            for model in others
        ]
    )
    if advice := document.get("advice"):
        Steps().warn(advice)


def _table(rows: list[tuple[str, dict[str, str]]]) -> None:
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table("version", *rows[0][1], box=SIMPLE)
    for version, cells in rows:
        table.add_row(version, *cells.values())
    command.show(table)


def _figures(model: dict[str, Any]) -> dict[str, str]:
    """Columns of a model: figures at its own threshold and what a row costs it, or those of its recipe."""
    if "figures" in model:
        return {name: _interval(figure) for name, figure in model["figures"].items()}
    names = ("average_precision", "precision", "recall")
    shown = {name.replace("_", " "): _interval(model["metrics"][name]) for name in names}
    return shown | {"us a row": f"{model['seconds_per_row'] * 1e6:.1f}", "rows trained on": str(model["trained_rows"])}


def _interval(figure: dict[str, float | None], sign: str = "") -> str:
    """``0.830 [0.750, 0.900]``; ``-`` where it is not defined."""
    value, low, high = (figure[name] for name in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return "-"
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
