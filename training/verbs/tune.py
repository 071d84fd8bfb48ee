"""The verb that searches for the settings of the forest: tune."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from fraud import command
from fraud.argument_types import above_zero, folds, local_file, matching, multiple, positive
from fraud.command import CommandResult, Verbs
from fraud.verbs import schema_option
from training.console import Steps
from training.tuning import BOOSTERS
from training.verbs import PROGRAM, options

EXIT_INTERRUPTED = 130

_USUAL = Path()
"""``--use`` alone: where the recipe of the schema is looked for; no name of a file comes to this."""
_NAME = matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "a name of letters, digits, dots, hyphens and underscores")


def add_to(verbs: Verbs) -> None:
    """Register the verb."""
    tune = command.subcommand(
        verbs,
        "tune",
        _tune,
        "Search for the settings of the forest, inside the training part of the data alone. The same command goes on "
        "with what was begun.",
        f"{PROGRAM} tune --data creditcard.csv --split stratified --minutes 30",
        f"{PROGRAM} tune --data creditcard.csv --split stratified --minutes 30 --use",
        f"{PROGRAM} tune --data shop.csv --schema shop.toml --study autumn --trials 200 --minutes 240 --memory-gb 8",
        ".venv-baselines/bin/python -m training tune --data creditcard.csv --also xgboost lightgbm",
    )
    options.add_data(tune)
    schema_option.add_schema(tune)
    options.add_split(tune)
    options.add_base(tune)
    tune.add_argument("--study", type=_NAME, metavar="NAME", help="of the trials that are kept (default: the schema's)")
    tune.add_argument("--trials", type=positive, default=100, metavar="N", help="of the study in all (default 100)")
    tune.add_argument(
        "--minutes",
        type=above_zero,
        default=30.0,
        metavar="M",
        help="that trials and judging may take in all, for each of --also again (default 30); loading the rows, their "
        "folds and the bootstrap at the end come on top, and judging, once begun, is not cut",
    )
    tune.add_argument(
        "--memory-gb",
        type=above_zero,
        metavar="GB",
        help="that the process may come to; settings that need more are pruned (default: 80 %% of what is free)",
    )
    tune.add_argument(
        "--most-cost",
        type=multiple,
        default=3.0,
        metavar="X",
        help="most that scoring a row may cost, as a multiple of the defaults: nodes passed (default 3)",
    )
    tune.add_argument("--folds", type=folds, metavar="N", help="of the training rows (default: as the recipe, 3)")
    tune.add_argument("--also", nargs="+", choices=BOOSTERS, default=[], help="search these alike, to compare with")
    tune.add_argument(
        "--use",
        nargs="?",
        type=local_file,
        const=_USUAL,
        metavar="FILE",
        help="write the recipe to training/recipes/NAME.toml, where `run` and `retrain` look for that of the schema "
        "NAME, or to FILE",
    )


def _tune(arguments: argparse.Namespace) -> CommandResult:
    from training.run import TrainingPlan
    from training.tuning import recipe_file
    from training.tuning.plan import TuningPlan
    from training.tuning.tune import tune

    schema = schema_option.schema(arguments)
    plan = TuningPlan(
        TrainingPlan(
            arguments.data,
            schema,
            arguments.split,
            options.periods(arguments),
            options.recipe(arguments, schema),
            jobs=arguments.jobs,
            hasher=options.hasher(),
        ),
        arguments.study or schema.name,
        arguments.trials,
        arguments.minutes,
        arguments.memory_gb,
        arguments.most_cost,
        arguments.folds,
        arguments.also,
        _target(arguments, recipe_file.path_of(schema.name)),
        shlex.join([*PROGRAM.split(), *sys.argv[1:]]),
    )
    found: dict[str, Any] = tune(plan, Steps())
    return CommandResult(found, EXIT_INTERRUPTED if found["interrupted"] else 0)


def _target(arguments: argparse.Namespace, usual: Path) -> Path | None:
    """Where the recipe is to be written, if it is."""
    return usual if arguments.use == _USUAL else arguments.use
