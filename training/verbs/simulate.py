"""The verb that sets a retraining loop up to be tried: simulate."""

import argparse
from typing import Any

from fraud import command
from fraud.argument_types import positive, seed
from fraud.command import Verbs
from fraud.remote.resolve import registry
from fraud.verbs import schema_option
from training.console import Steps
from training.verbs import PROGRAM, options


def add_to(verbs: Verbs) -> None:
    """Register the verb."""
    simulate = command.subcommand(
        verbs,
        "simulate",
        _simulate,
        "Cut data into a base (80 %) and new data (20 %) and put both below dataset/ in S3, to try retraining with.",
        f"{PROGRAM} simulate --data creditcard.csv",
        f"{PROGRAM} simulate --data creditcard.csv --split time --slices 4",
        f"{PROGRAM} simulate --data sample --replace",
    )
    options.add_data(simulate)
    schema_option.add_schema(simulate)
    simulate.add_argument(
        "--split",
        choices=("stratified", "time"),
        default="stratified",
        help="new data is a random 20 %% (default), or the latest 20 %%",
    )
    simulate.add_argument("--slices", type=positive, default=1, metavar="N", help="increments of new data (default 1)")
    simulate.add_argument("--seed", type=seed, default=0, metavar="N", help="seed of the stratified split")
    simulate.add_argument(
        "--replace", action="store_true", help="remove the base and the increments that are there, then go on"
    )


def _simulate(arguments: argparse.Namespace) -> dict[str, Any]:
    remote = registry()  # before pandas is loaded, for the error of a missing FRAUD_S3_URI
    from training.simulate import SimulationPlan, simulate

    schema = schema_option.schema(arguments)
    plan = SimulationPlan(arguments.data, schema, arguments.split, arguments.slices, arguments.seed, options.hasher())
    return simulate(remote.uri, plan, Steps(), replace=arguments.replace)
