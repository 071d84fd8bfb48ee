"""``python -m fraud VERB``: parse, call, answer."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from fraud import command, keys
from fraud.settings import Settings

PROGRAM = "python -m fraud"


def main() -> int:
    """Run one verb; the exit code."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Use a stored fraud model, and make keys for its service."
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    score = command.subcommand(
        verbs,
        "score",
        _score,
        "Score a CSV or Parquet file; rows keep their order, a Class column is ignored.",
        f"{PROGRAM} score transactions.csv scores.csv",
        f"{PROGRAM} score week.parquet scores.parquet --model fraud_detector:abcdef123456",
    )
    score.add_argument("source", type=Path, metavar="IN")
    score.add_argument("target", type=Path, metavar="OUT")
    score.add_argument("--model", metavar="TAG", help="tag in the model store (default: FRAUD_MODEL, else the newest)")
    command.subcommand(
        verbs,
        "key",
        _key,
        "Make an API key: give it to the caller, and its hash to FRAUD_API_KEYS. It is shown this once.",
        f"{PROGRAM} key",
    )
    return command.main(parser)


def _score(given: argparse.Namespace) -> dict[str, Any]:
    from fraud.score import score_file

    return score_file(given.source, given.target, given.model or Settings.from_env().model)


def _key(_: argparse.Namespace) -> dict[str, Any]:
    key, digest = keys.make()
    return {"key": key, "sha256": digest}


if __name__ == "__main__":
    sys.exit(main())
