"""Verbs on labels and the prediction log: labels import, report, export, purge, delete."""

import argparse
import sys
import time
from typing import Any

from fraud import command
from fraud.argument_types import TABLES, days, local_path
from fraud.command import Verbs
from fraud.inputs.derived import SECONDS_PER_DAY
from fraud.settings import Settings
from fraud.verbs import schema_option
from monitoring.verbs import PROGRAM


def add_to(verbs: Verbs) -> None:
    """Register the verbs."""
    group = verbs.add_parser("labels", help="Take labels, judge the model by them, export training data, delete.")
    actions = group.add_subparsers(required=True, metavar="import|report|export|purge|delete")
    import_ = command.subcommand(
        actions,
        "import",
        _import,
        "Keep the labels of CSV or Parquet files with transaction_id and is_fraud (or Class), all or none. Of two "
        "labels of one transaction the later one is taken, by a column date; rows without a label are left out.",
        f"{PROGRAM} labels import chargebacks.csv",
        f"{PROGRAM} labels import s3://bucket/chargebacks/",
        f"{PROGRAM} labels import orders.csv --schema shop.toml    # in its names and words",
    )
    import_.add_argument("sources", nargs="+", metavar="FILE", help=TABLES)
    schema_option.add_schema(import_)

    report = command.subcommand(
        actions,
        "report",
        _report,
        "Precision and recall of predictions old enough for labels, with counts and 95 % intervals.",
        f"{PROGRAM} labels report",
        f"{PROGRAM} labels report --by-day",
    )
    report.add_argument("--by-day", action="store_true", help="a row for each day of scoring (UTC)")

    export = command.subcommand(
        actions,
        "export",
        _export,
        "Write labelled transactions as training data, each once; --push makes them an increment for retrain.",
        f"{PROGRAM} labels export --push",
        f"{PROGRAM} labels export week.parquet --labelled-only",
    )
    export.add_argument("file", type=local_path, nargs="?", help="a .parquet file to write")
    export.add_argument("--push", action="store_true", help="upload below dataset/new/ of FRAUD_S3_URI")
    export.add_argument("--again", action="store_true", help="with what was exported before")
    export.add_argument(
        "--schema",
        metavar="NAME",
        help="of which transactions, where the log has several kinds: a schema's name or hash (default: the last used)",
    )
    export.add_argument("--labelled-only", action="store_true", help="without those that no label came for")

    purge = command.subcommand(
        actions,
        "purge",
        _purge,
        "Delete predictions older than some days, and labels as old that no prediction is left of.",
        f"{PROGRAM} labels purge --older-than-days 180",
        f"{PROGRAM} labels purge --older-than-days 180 --dry-run",
    )
    purge.add_argument("--older-than-days", type=days, required=True, metavar="N")
    purge.add_argument("--dry-run", action="store_true", help="count, and delete nothing")

    delete = command.subcommand(
        actions,
        "delete",
        _delete,
        "Delete every prediction and label of some transactions.",
        f"{PROGRAM} labels delete tx-0001 tx-0002",
    )
    delete.add_argument("transaction_id", nargs="+")


def _import(arguments: argparse.Namespace) -> dict[str, Any]:
    from monitoring import labels

    own = schema_option.schema_given(arguments)  # before anything is connected to
    with labels.opened(Settings.from_env()) as engine:
        return labels.import_files(engine, arguments.sources, own)


def _report(arguments: argparse.Namespace) -> dict[str, Any]:
    from monitoring import labels

    settings = Settings.from_env()
    with labels.opened(settings) as engine:
        document = labels.report(engine, settings, now=time.time(), by_day=arguments.by_day)
    for model in document["models"]:
        sys.stderr.write(f"{_row(model)}\n")
    return document


def _row(model: dict[str, Any]) -> str:
    place = " ".join(filter(None, (model.get("day"), model["model_version"])))
    return f"{place}: precision {_share(model['precision'])}, recall {_share(model['recall'])}"


def _share(figure: dict[str, float | None]) -> str:
    if figure["value"] is None:
        return "unknown"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _export(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.file is None and not arguments.push:
        arguments.wrong_usage("give a file to write, or --push, or both")
    settings = Settings.from_env()
    from fraud.remote.resolve import registry

    remote = registry(settings) if arguments.push else None  # before the long work, not after it
    from monitoring import labels
    from monitoring.offline import increment

    with labels.opened(settings) as engine:
        increment.check_may_mark(engine)
        rows = labels.export(
            engine,
            settings,
            now=time.time(),
            again=arguments.again,
            labelled_only=arguments.labelled_only,
            schema=arguments.schema,
        )
        document: dict[str, Any] = rows.as_dict()
        if arguments.file is not None:
            increment.write(rows, arguments.file)
            document["file"] = str(arguments.file)
        if remote:
            document["pushed"] = increment.push(rows, remote.uri, settings.key_hasher)
        increment.mark(engine, rows)
    return document


def _purge(arguments: argparse.Namespace) -> dict[str, Any]:
    from monitoring import labels

    with labels.opened(Settings.from_env()) as engine:
        before = time.time() - arguments.older_than_days * SECONDS_PER_DAY
        counts = labels.purge(engine, before, dry_run=arguments.dry_run)
    return {"would_delete" if arguments.dry_run else "deleted": counts}


def _delete(arguments: argparse.Namespace) -> dict[str, Any]:
    from monitoring import labels

    with labels.opened(Settings.from_env()) as engine:
        return {"deleted": labels.forget(engine, arguments.transaction_id)}
