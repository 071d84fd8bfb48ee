"""The verb that says what is broken or disagrees: doctor."""

import argparse
import os
import sys

from fraud import command
from fraud.argument_types import positive
from fraud.command import CommandResult, Verbs
from training.verbs import PROGRAM

_SECONDS = 60


def add_to(verbs: Verbs) -> None:
    """Register the verb."""
    doctor = command.subcommand(
        verbs,
        "doctor",
        _doctor,
        "Say what is broken or disagrees, and what to do: settings, the local model store, the models and the champion "
        "in FRAUD_S3_URI, the database of FRAUD_DATABASE_URL, the store of FRAUD_HISTORY_URL. Nothing is changed. "
        "Exits 1 when something is wrong.",
        f"{PROGRAM} doctor",
        f"{PROGRAM} doctor --seconds 300 > health.json",
        f"FRAUD_S3_URI=s3://my-bucket/fraud {PROGRAM} doctor",
    )
    doctor.add_argument(
        "--seconds",
        type=positive,
        default=_SECONDS,
        metavar="N",
        help=f"most time that is given to each part (default {_SECONDS})",
    )


def _doctor(arguments: argparse.Namespace) -> CommandResult:
    from training.doctor.examine import examine

    parts = examine(os.environ, arguments.seconds)
    for part in parts:
        for finding in part.findings:
            sys.stderr.write(f"{part.name}: {finding}\n")
    wrong = any(part.findings for part in parts)
    if not wrong:
        unset = ", ".join(part.name for part in parts if not part.is_set)
        sys.stderr.write(f"all is well{f'; not set: {unset}' if unset else ''}\n")
    document = {"well": not wrong, **{part.name: part.as_dict() for part in parts}}
    return CommandResult(document, command.EXIT_ERROR if wrong else 0)
