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
    _add_score(verbs)
    command.subcommand(
        verbs,
        "key",
        _key,
        "Make an API key: give it to the caller, and its hash to FRAUD_API_KEYS. It is shown this once.",
        f"{PROGRAM} key",
    )
    return command.main(parser)


def _add_score(verbs: Any) -> None:  # noqa: ANN401 - argparse names its type privately
    score = command.subcommand(
        verbs,
        "score",
        _score,
        "Score CSV or Parquet files; rows keep their order, a Class column is ignored. "
        "An output appears whole or not at all. A run that was interrupted or killed goes on where it stopped when it "
        "is started again on the same input and model; until then .OUT.part.d beside OUT keeps what is done. "
        "With several inputs OUT is a folder, finished outputs are skipped, and one bad file does not stop the others.",
        f"{PROGRAM} score transactions.csv scores.csv",
        f"{PROGRAM} score week.parquet scores.parquet --model fraud_detector:abcdef123456",
        f"{PROGRAM} score transactions/ scores/",
        f"{PROGRAM} score 'transactions/2026-*.parquet' scores/ --scheduler tcp://host:8786",
    )
    score.add_argument("sources", nargs="+", metavar="IN", help="a file, a folder of files, or a pattern with *")
    score.add_argument("target", type=Path, metavar="OUT", help="a file; a folder for a folder, a pattern or several")
    score.add_argument("--model", metavar="TAG", help="tag in the model store (default: FRAUD_MODEL, else the newest)")
    score.add_argument("--jobs", type=_positive, metavar="N", help="threads that score (default: all cores)")
    score.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="score many files on the Dask cluster there; it needs this code, the model in its store, the same folders",
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def _score(given: argparse.Namespace) -> Any:  # noqa: ANN401 - a document, or an Answer
    from fraud.bulk import progress
    from fraud.bulk.many_files import FileResult, find, score_files
    from fraud.bulk.one_file import score_file

    tag = given.model or Settings.from_env().model
    shown = progress.console()

    def score(source: Path, target: Path, tag: str) -> dict[str, Any]:
        with progress.bar(source.name, shown) as observer:
            return score_file(source, target, tag, threads=given.jobs, observer=observer)

    def report(result: FileResult) -> None:
        said = f"error: {result.error}" if result.summary is None else f"{result.summary['rows']} rows"
        shown.print(f"{result.input}: {said}", markup=False)

    source = Path(given.sources[0])
    if len(given.sources) == 1 and not given.scheduler and not source.is_dir() and "*" not in given.sources[0]:
        return score(source, given.target, tag)
    answer = score_files(
        find(given.sources), given.target, tag, score, scheduler=given.scheduler, threads=given.jobs, observer=report
    )
    return command.Answer(answer, command.EXIT_ERROR if answer["failed"] else 0)


def _key(_: argparse.Namespace) -> dict[str, Any]:
    key, digest = keys.make()
    return {"key": key, "sha256": digest}


if __name__ == "__main__":
    sys.exit(main())
