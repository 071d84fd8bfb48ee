"""``--schema``: what a transaction is, for commands of any program that have no model yet."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fraud.schema import Schema


def add_schema(parser: argparse.ArgumentParser) -> None:
    """The option."""
    parser.add_argument(
        "--schema",
        type=Path,
        metavar="FILE",
        help="TOML file that declares the columns (default: FRAUD_SCHEMA, else the public credit-card data's); "
        "`python -m training schema infer` drafts one",
    )


def schema_given(arguments: argparse.Namespace) -> "Schema | None":
    """The schema that ``--schema`` or ``FRAUD_SCHEMA`` names, if one does. Raises SchemaError."""
    from fraud import schema
    from fraud.settings import Settings

    named = arguments.schema or Settings.from_env().schema_file
    return schema.read(Path(named)) if named else None


def schema(arguments: argparse.Namespace) -> "Schema":
    """The one that is named, else that of the public data. Raises SchemaError."""
    from fraud.schema import default

    return schema_given(arguments) or default()
