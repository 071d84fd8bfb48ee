"""The verb that makes a file to try things on: sample."""

import argparse
from pathlib import Path
from typing import Any

from fraud import command
from fraud.argument_types import positive, seed
from fraud.command import Verbs
from training.verbs import PROGRAM


def add_to(verbs: Verbs) -> None:
    """Register the verb."""
    sample = command.subcommand(
        verbs,
        "sample",
        _sample,
        "Write transactions of an invented shop to a CSV file, to try a schema of one's own on.",
        f"{PROGRAM} sample shop.csv",
        f"{PROGRAM} sample shop.csv --rows 50000 --seed 7 --replace",
    )
    sample.add_argument("file", type=Path, metavar="FILE.csv", help="file to write: semicolons, decimal commas")
    sample.add_argument("--rows", type=positive, default=20_000, metavar="N", help="transactions (default 20000)")
    sample.add_argument("--seed", type=seed, default=0, metavar="N", help="another seed, other transactions")
    sample.add_argument("--replace", action="store_true", help="write over a file that is there")


def _sample(arguments: argparse.Namespace) -> dict[str, Any]:
    from training import shop

    table = shop.generate(arguments.rows, arguments.seed)
    shop.write(arguments.file, table, replace=arguments.replace)
    frauds = int((table["is_fraud"] == "Y").sum())
    return {"file": str(arguments.file), "rows": len(table), "frauds": frauds, "synthetic": True}
