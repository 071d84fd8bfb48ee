"""Verbs on data sets: data push, data pull."""

import argparse
from typing import Any

from fraud import command
from fraud.argument_types import local_path
from fraud.command import Verbs
from fraud.remote.resolve import registry
from fraud.verbs import schema_option
from training.verbs import PROGRAM, options


def add_to(verbs: Verbs) -> None:
    """Register the verbs."""
    group = verbs.add_parser("data", help="Move data sets between files and S3.")
    data = group.add_subparsers(required=True, metavar="push|pull")
    push = command.subcommand(
        data,
        "push",
        _push,
        "Check a data file and upload it below dataset/. Where it holds keys in plain, their hashes go, as Parquet.",
        f"{PROGRAM} data push creditcard.csv",
        f"{PROGRAM} data push week.parquet --name new/0007.parquet",
    )
    push.add_argument("file", type=local_path)
    schema_option.add_schema(push)
    push.add_argument("--name", help="name below dataset/; the file's own by default")
    pull = command.subcommand(
        data, "pull", _pull, "Download everything below dataset/, checked.", f"{PROGRAM} data pull data/"
    )
    pull.add_argument("folder", type=local_path)


def _push(arguments: argparse.Namespace) -> dict[str, Any]:
    from fraud.remote import datasets

    schema, hasher = schema_option.schema(arguments), options.hasher()
    return datasets.push(registry().uri, arguments.file, schema, arguments.name, hasher)


def _pull(arguments: argparse.Namespace) -> dict[str, Any]:
    from fraud.remote import datasets

    return datasets.pull(registry().uri, arguments.folder)
