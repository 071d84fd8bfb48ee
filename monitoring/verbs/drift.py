"""``python -m monitoring drift``: does a file of transactions still look like what the model was made for?"""

import argparse
from pathlib import Path
from typing import Any

from fraud import command
from fraud.errors import DataError

PROGRAM = "python -m monitoring"
EXIT_DRIFT = 3


def add_to(verbs: Any) -> None:  # noqa: ANN401 - argparse names its type privately
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
        f"{PROGRAM} drift --reference champion --data last_hour.csv --ignore hour --minimum-rows 500",
    )
    drift.add_argument(
        "--reference", metavar="VERSION", help="a version, `latest` or `champion`: its stored deciles are the reference"
    )
    drift.add_argument("--data", type=Path, required=True, metavar="FILE", help="CSV or Parquet; Class is ignored")
    drift.add_argument(
        "--reference-data",
        type=Path,
        metavar="FILE",
        help="rows to compare with in two-sample tests; without --reference their deciles are the reference",
    )
    drift.add_argument(
        "--threshold", type=_positive, metavar="PSI", help="above this index a feature has drifted (docs/drift.md)"
    )
    drift.add_argument(
        "--threshold-score", type=_positive, metavar="PSI", help="above this index the score has drifted"
    )
    drift.add_argument("--minimum-rows", type=_whole, metavar="N", help="fewer rows in a file are an error")
    drift.add_argument(
        "--ignore",
        nargs="+",
        type=_name,
        default=[],
        metavar="NAME",
        help="features to compare and not to judge, such as hour",
    )
    drift.add_argument("--output", type=Path, metavar="FILE", help="also write the table as Markdown")

    def checked(given: argparse.Namespace) -> command.Answer:
        if given.reference is None and given.reference_data is None:
            drift.error("give --reference VERSION, --reference-data FILE, or both")
        return _drift(given)

    drift.set_defaults(handler=checked)


def _drift(given: argparse.Namespace) -> command.Answer:
    from monitoring.offline import drift_report

    if given.output and not given.output.parent.is_dir():  # before the long work, not after it
        raise DataError.no_folder(given.output.parent)
    chosen = {name: getattr(given, name) for name in ("threshold", "threshold_score", "minimum_rows")}
    question = drift_report.Question(
        given.data,
        given.reference,
        given.reference_data,
        ignored=frozenset(given.ignore),
        **{name: value for name, value in chosen.items() if value is not None},
    )
    found = drift_report.report(question)
    found.show()
    if given.output:
        drift_report.write(given.output, found.markdown())
    return command.Answer(found.as_dict(), EXIT_DRIFT if found.drifted else 0)


def _name(text: str) -> str:
    from fraud.features import FEATURES
    from fraud.profile import SCORE

    names = (*FEATURES, SCORE)
    if text not in names:
        raise argparse.ArgumentTypeError(f"no feature is called {text}; there are {', '.join(names)}")
    return text


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return number


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text}")
    return number
