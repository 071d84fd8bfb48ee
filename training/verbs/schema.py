"""Verbs on schemas: schema infer, schema check, schema example."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraud import command
from fraud.command import EXIT_ERROR, CommandResult, PlainText, Verbs
from fraud.errors import named
from fraud.verbs import schema_option
from training.console import Steps
from training.verbs import PROGRAM

if TYPE_CHECKING:
    from training.schemas.draft import Draft

_FILES = "a CSV or Parquet file, a folder of them, a pattern with *, or s3://bucket/key"


def add_to(verbs: Verbs) -> None:
    """Register the verbs."""
    group = verbs.add_parser("schema", help="Declare what your transactions are: draft, check, example.")
    actions = group.add_subparsers(required=True, metavar="infer|check|example")
    _add_infer(actions)
    _add_check(actions)
    _add_example(actions)


def _add_infer(actions: Verbs) -> None:
    infer = command.subcommand(
        actions,
        "infer",
        _infer,
        "Draft a schema from files, with a reason for each decision; what to look at is told on stderr.",
        f"{PROGRAM} schema infer shop.csv --output shop.toml",
        f"{PROGRAM} schema infer january.parquet february.parquet --label chargeback",
    )
    infer.add_argument("files", nargs="+", metavar="FILE", help=f"{_FILES}; several are one data set")
    infer.add_argument(
        "--label", metavar="NAME", help="the column of what was found out; by name, and said, by default"
    )
    infer.add_argument("--output", type=Path, metavar="FILE", help="write the TOML there, whole or not at all")
    infer.add_argument("--replace", action="store_true", help="write over a file that is there")


def _add_check(actions: Verbs) -> None:
    check = command.subcommand(
        actions,
        "check",
        _check,
        "Say all that is wrong with files by a schema; exit code 1 when anything is.",
        f"{PROGRAM} schema check shop.csv --schema shop.toml",
    )
    check.add_argument("files", nargs="+", metavar="FILE", help=_FILES)
    schema_option.add_schema(check)


def _add_example(actions: Verbs) -> None:
    example = command.subcommand(
        actions,
        "example",
        _example,
        "Print one valid transaction as JSON; with a file the middle of its values, never a row of it.",
        f"{PROGRAM} schema example --schema shop.toml shop.csv",
    )
    example.add_argument("file", nargs="?", metavar="FILE", help="CSV or Parquet file to take the values from")
    schema_option.add_schema(example)


def _infer(arguments: argparse.Namespace) -> Any:  # noqa: ANN401 - text, or a document
    if arguments.replace and arguments.output is None:
        arguments.wrong_usage("--replace needs --output FILE")
    from fraud import atomic
    from training.schemas import draft

    if arguments.output is None:
        found = draft.infer(arguments.files, arguments.label)
        _tell(found)
        return PlainText(found.text)
    with atomic.new(arguments.output, replace=arguments.replace) as part:
        found = draft.infer(arguments.files, arguments.label)
        part.write_text(found.text, "utf-8")
    _tell(found)
    return {"schema": str(arguments.output), "rows": found.rows, "frauds": found.frauds, "look_at": list(found.look)}


def _tell(found: "Draft") -> None:
    steps = Steps()
    steps.say(
        f"{found.rows:,} rows read ({'; '.join(found.files)}); look at:" if found.look else f"{found.rows:,} rows read"
    )
    for said in found.look:
        steps.say(f"  {said}")


def _check(arguments: argparse.Namespace) -> Any:  # noqa: ANN401
    schema = schema_option.schema(arguments)
    from training.schemas.check import check

    document = check(arguments.files, schema)
    for file in document["files"]:
        for problem in file["problems"]:
            Steps().say(named(file["file"], problem))
    return document if document["passed"] else CommandResult(document, EXIT_ERROR)


def _example(arguments: argparse.Namespace) -> dict[str, Any]:
    schema = schema_option.schema(arguments)
    from training.schemas.example import example

    return example(schema, arguments.file)
