"""``python -m fraud score``: files of transactions in, files of scores out."""

import argparse
from pathlib import Path
from typing import Any

from fraud import command
from fraud.argument_types import MODEL_NAMES, TABLES, local_path, positive
from fraud.command import CommandResult, Verbs
from fraud.verbs import PROGRAM


def add_to(verbs: Verbs) -> None:
    """Register the verb."""
    score = command.subcommand(
        verbs,
        "score",
        _score,
        "Score CSV or Parquet files; rows keep their order, the label is ignored. "
        "An output appears whole or not at all. A run that was interrupted or killed goes on where it stopped when it "
        "is started again on the same input and model; until then .OUT.part.d beside OUT keeps what is done. "
        "With several inputs OUT is a folder, finished outputs are skipped, and one bad file does not stop the others.",
        f"{PROGRAM} score transactions.csv scores.csv",
        f"{PROGRAM} score week.parquet scores.parquet --model champion",
        f"{PROGRAM} score shop.csv scores.csv --keep merchant country",
        f"{PROGRAM} score transactions/ scores/",
        f"{PROGRAM} score s3://bucket/transactions/ scores/",
        f"{PROGRAM} score 'transactions/2026-*.parquet' scores/ --scheduler tcp://host:8786",
    )
    score.add_argument("sources", nargs="+", metavar="IN", help=TABLES)
    score.add_argument(
        "target", type=local_path, metavar="OUT", help="a file; a folder for a folder, a pattern or several"
    )
    score.add_argument(
        "--model",
        metavar="MODEL",
        help=f"{MODEL_NAMES}; pulled from FRAUD_S3_URI when it is not here "
        "(default: FRAUD_MODEL, else the chosen one, else the newest)",
    )
    score.add_argument(
        "--keep",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="columns to carry over to OUT; `all`: those that the model does not know",
    )
    score.add_argument(
        "--drop", nargs="+", action="extend", default=[], metavar="NAME", help="columns to leave out, or `all`"
    )
    score.add_argument(
        "--history",
        choices=("model", "none"),
        default="model",
        help="of a model that looks at histories: go on from its saved state, each file by itself and in the order of "
        "its rows, or leave them out: all missing (default: model)",
    )
    score.add_argument("--jobs", type=positive, metavar="N", help="threads that score (default: all cores)")
    score.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="score many files on the Dask cluster there; it needs this code, the model in its store, the same folders",
    )


def _score(arguments: argparse.Namespace) -> dict[str, Any] | CommandResult:
    from fraud.bulk import progress
    from fraud.bulk.many_files import FileResult, score_files
    from fraud.bulk.one_file import check_target, score_file
    from fraud.remote import sources
    from fraud.tables.extras import Extras

    console = command.console()
    extras, history = Extras(tuple(arguments.keep), tuple(arguments.drop)), arguments.history

    def score(source: Path, target: Path, tag: str) -> dict[str, Any]:
        with progress.bar(source.name, console) as observer:
            return score_file(
                source, target, tag, threads=arguments.jobs, observer=observer, extras=extras, history=history
            )

    def show(result: FileResult) -> None:
        words = f"error: {result.error}" if result.summary is None else f"{result.summary['rows']} rows"
        words = words.replace(f"{result.input}: ", "", 1)  # which the error may begin with
        console.print(f"{result.input}: {words}")

    if _is_one_file(arguments):
        source = sources.Source(arguments.sources[0])
        check_target(source, arguments.target)  # before a model is pulled for nothing
        tag = _tag(arguments.model)
        with source.local() as path:
            return _warned(score(path, arguments.target, tag))
    matches = sources.find(arguments.sources)
    document = score_files(
        matches,
        arguments.target,
        _tag(arguments.model),
        score,
        scheduler=arguments.scheduler,
        threads=arguments.jobs,
        observer=show,
        extras=extras,
        history=history,
    )
    return CommandResult(_warned(document), command.EXIT_ERROR if document["failed"] else 0)


def _warned(document: dict[str, Any]) -> dict[str, Any]:
    """The answer; one line for each reason to doubt its histories."""
    from fraud.bulk.histories import doubts

    for line in doubts(document):
        command.console().print(f"warning: {line}")
    return document


def _tag(name: str | None) -> str:
    from fraud.remote.resolve import registry_if_set, resolve

    return resolve(name, registry_if_set(), pull=True).tag


def _is_one_file(arguments: argparse.Namespace) -> bool:
    from fraud.remote.sources import is_one

    first, *others = arguments.sources
    return not (others or arguments.scheduler) and is_one(first)
