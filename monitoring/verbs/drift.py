"""``python -m monitoring drift``: does a file of transactions still look like what the model was made for?"""

import argparse

from fraud import command
from fraud.argument_types import MODEL_NAMES, TABLES, local_path, positive, psi
from fraud.command import CommandResult, Verbs
from fraud.errors import DataError
from fraud.verbs.schema_option import add_schema, schema_given
from monitoring.verbs import PROGRAM

EXIT_DRIFT = 3


def add_to(verbs: Verbs) -> None:
    """Register the verb."""
    drift = command.subcommand(
        verbs,
        "drift",
        _drift,
        "Compare a file of transactions with a stored model's reference, or with another file: population stability "
        "index of each feature and of the score, tests and effect sizes. Exit code 0: no drift, 3: drift, 1: not done.",
        f"{PROGRAM} drift --reference champion --data last_week.parquet",
        f"{PROGRAM} drift --reference abcdef123456 --data today.csv --reference-data yesterday.csv",
        f"{PROGRAM} drift --reference-data may.csv --data june.csv --output report.md",
        f"{PROGRAM} drift --schema shop.toml --reference-data may.csv --data june.csv",
        f"{PROGRAM} drift --reference champion --data last_hour.csv --ignore hour --minimum-rows 500",
    )
    drift.add_argument("--reference", metavar="MODEL", help=f"{MODEL_NAMES}: its stored bins are the reference")
    drift.add_argument("--data", required=True, metavar="FILE", help=f"{TABLES}; labels are ignored")
    drift.add_argument(
        "--reference-data",
        metavar="FILE",
        help="rows to compare with in two-sample tests; without --reference their deciles and levels are the reference",
    )
    drift.add_argument(
        "--threshold", type=psi, metavar="PSI", help="above this index a feature has drifted (docs/drift.md)"
    )
    drift.add_argument("--threshold-score", type=psi, metavar="PSI", help="above this index the score has drifted")
    drift.add_argument("--minimum-rows", type=positive, metavar="N", help="fewer rows in a file are an error")
    drift.add_argument(
        "--ignore",
        nargs="+",
        default=[],
        metavar="NAME",
        help="features to compare and not to judge, such as hour",
    )
    add_schema(drift)
    drift.add_argument("--output", type=local_path, metavar="FILE", help="also write the table as Markdown")


def _drift(arguments: argparse.Namespace) -> CommandResult:
    if arguments.reference is None and arguments.reference_data is None:
        arguments.wrong_usage("give --reference MODEL, --reference-data FILE, or both")
    from monitoring.offline import drift_report

    if arguments.output and not arguments.output.parent.is_dir():  # before the long work, not after it
        raise DataError.no_folder(arguments.output.parent)
    chosen = {name: getattr(arguments, name) for name in ("threshold", "threshold_score", "minimum_rows")}
    question = drift_report.Question(
        arguments.data,
        arguments.reference,
        arguments.reference_data,
        ignored=frozenset(arguments.ignore),
        schema=schema_given(arguments),
        **{name: value for name, value in chosen.items() if value is not None},
    )
    report = drift_report.report(question)
    report.show()
    if arguments.output:
        drift_report.write(arguments.output, report.markdown())
    return CommandResult(report.as_dict(), EXIT_DRIFT if report.drifted else 0)
