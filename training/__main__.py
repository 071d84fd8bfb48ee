"""``python -m training VERB``: parse, call, answer."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from fraud import command, registry, store
from fraud.errors import RegistryError
from fraud.settings import MODEL_NAME, Settings

PROGRAM = "python -m training"


def main() -> int:
    """Run one verb; the exit code."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    return command.main(_parser())


def _run(given: argparse.Namespace) -> dict[str, Any]:
    from training.console import Steps
    from training.run import Plan, run
    from training.train import Recipe

    remote = _registry() if given.publish else None  # before the long work, not after it
    chosen = {
        name: getattr(given, name) for name in ("trees", "max_samples", "fraud_weight", "target_precision", "seed")
    }
    recipe = Recipe(**{name: value for name, value in chosen.items() if value is not None})
    manifest = run(Plan(given.data, given.split, recipe, given.refit, given.jobs), Steps())
    result = manifest.model_dump(mode="json", exclude={"profile"})
    if remote:
        result |= _upload(remote, manifest.model_version)
    return result


def _publish(given: argparse.Namespace) -> dict[str, Any]:
    version = str(store.get(f"{MODEL_NAME}:{given.version}").tag.version)
    return {"model_version": version, **_upload(_registry(), version)}


def _upload(remote: registry.Registry, version: str) -> dict[str, Any]:
    """Publish a local model, and make it champion if there is none."""
    try:
        return _published(remote, version)
    except RegistryError as error:
        raise RegistryError(
            f"{error}; {MODEL_NAME}:{version} is safe in the local store: "
            f"mend this, then run `{PROGRAM} publish {version}`"
        ) from None


def _published(remote: registry.Registry, version: str) -> dict[str, Any]:
    published = remote.publish(version)
    first = remote.crown_first(version)
    standing = first or _champion(remote)
    return {
        "published": {"uri": f"{remote.uri}/models/{version}/", "archive_sha256": published.archive_sha256},
        "champion": standing.model_version if standing else None,
    }


def _champion(remote: registry.Registry) -> registry.Champion | None:
    found = remote.champion()
    return found[0] if found else None


def _evaluate(given: argparse.Namespace) -> dict[str, Any]:
    from training.run import evaluate_stored

    return evaluate_stored(given.model, given.data)


def _list(_: argparse.Namespace) -> dict[str, Any]:
    remote = _registry() if Settings.from_env().s3_uri else None
    champion = _champion(remote) if remote else None
    published = {item.manifest.model_version: item.manifest for item in remote.versions()} if remote else {}
    local = {version: store.read_manifest(store.get(f"{MODEL_NAME}:{version}")) for version in store.versions()}
    models = sorted((published | local).values(), key=lambda manifest: manifest.created_at, reverse=True)
    return {
        "champion": champion.model_dump() if champion else None,
        "models": [
            {
                "model_version": manifest.model_version,
                "created_at": manifest.created_at,
                "synthetic": manifest.synthetic,
                "split": manifest.split["protocol"],
                "average_precision": manifest.metrics["average_precision"]["value"],
                "threshold": manifest.threshold,
                "local": manifest.model_version in local,
                "published": manifest.model_version in published,
                "champion": champion is not None and champion.model_version == manifest.model_version,
            }
            for manifest in models
        ],
    }


def _pull(given: argparse.Namespace) -> dict[str, Any]:
    remote = _registry()
    version = given.version
    if version == "champion":
        champion = _champion(remote)
        if champion is None:
            raise RegistryError(f"{remote.uri}: there is no champion yet; publish or promote a model")
        version = champion.model_version
    manifest = remote.pull(version)
    return {"tag": f"{MODEL_NAME}:{version}", **manifest.model_dump(mode="json", include={"created_at", "synthetic"})}


def _promote(given: argparse.Namespace) -> dict[str, Any]:
    return _registry().promote(given.version, given.reason).model_dump()


def _data_push(given: argparse.Namespace) -> dict[str, Any]:
    from training import datasets

    return datasets.push(_registry().uri, given.file, given.name)


def _data_pull(given: argparse.Namespace) -> dict[str, Any]:
    from training import datasets

    return datasets.pull(_registry().uri, given.folder)


def _serve(given: argparse.Namespace) -> None:
    from training import serve

    serve.serve(given.host, given.port)


def _registry() -> registry.Registry:
    uri = Settings.from_env().s3_uri
    if uri is None:
        raise RegistryError("FRAUD_S3_URI is not set; set it to s3://bucket/prefix")
    return registry.Registry(uri.rstrip("/"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Train, judge, publish and serve fraud models.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    run = command.subcommand(
        verbs,
        "run",
        _run,
        "Train a model, judge it once on held-out rows, and save it to the BentoML model store.",
        f"{PROGRAM} run --data sample",
        f"{PROGRAM} run --data creditcard.csv --split stratified",
        f"{PROGRAM} run --data s3://bucket/dataset/ --publish",
    )
    _add_data(run)
    run.add_argument(
        "--split",
        choices=("time", "stratified"),
        default="time",
        help="test on the latest 20 %% (default), or on a random 20 %%",
    )
    run.add_argument("--trees", type=_positive, metavar="N", help="number of trees")
    run.add_argument("--max-samples", type=_share, metavar="SHARE", help="share of the rows each tree is fitted on")
    run.add_argument("--fraud-weight", type=_weight, metavar="W", help="weight of a fraud beside a legitimate row")
    run.add_argument(
        "--target-precision", type=_share, metavar="P", help="precision the threshold must reach on validation rows"
    )
    run.add_argument("--seed", type=_seed, metavar="N", help="seed of the split, the forest and the intervals")
    run.add_argument(
        "--refit",
        choices=("none", "all"),
        default="none",
        help="fit once more on every row before saving; the figures stay those of the tested forest",
    )
    run.add_argument("--jobs", type=int, default=-1, metavar="N", help="processor cores for fitting; -1 means all")
    run.add_argument("--publish", action="store_true", help="upload to FRAUD_S3_URI; champion if there is none yet")

    evaluate = command.subcommand(
        verbs,
        "evaluate",
        _evaluate,
        "Judge a saved model on labelled rows. Rows it was trained on flatter it.",
        f"{PROGRAM} evaluate --data last_week.csv",
        f"{PROGRAM} evaluate --model fraud_detector:abc --data s3://bucket/labelled.parquet",
    )
    evaluate.add_argument("--model", default=f"{MODEL_NAME}:latest", metavar="TAG", help="tag in the model store")
    _add_data(evaluate)

    publish = command.subcommand(
        verbs,
        "publish",
        _publish,
        "Upload a model of the local store to FRAUD_S3_URI; champion if there is none yet.",
        f"{PROGRAM} publish latest",
        f"{PROGRAM} publish abcdef123456",
    )
    publish.add_argument("version", help="a version, or `latest`")

    command.subcommand(verbs, "list", _list, "List local and published models, newest first.", f"{PROGRAM} list")

    pull = command.subcommand(
        verbs,
        "pull",
        _pull,
        "Bring a published model into the local store, after checking every SHA-256.",
        f"{PROGRAM} pull champion",
        f"{PROGRAM} pull abcdef123456",
    )
    pull.add_argument("version", help="a version, or `champion`")

    promote = command.subcommand(
        verbs,
        "promote",
        _promote,
        "Make a published version the champion.",
        f'{PROGRAM} promote abcdef123456 --reason "approved by risk on Monday"',
    )
    promote.add_argument("version")
    promote.add_argument("--reason", default="promoted by hand", help="kept in the history")

    data = verbs.add_parser("data", help="Move data sets between files and S3.").add_subparsers(
        required=True, metavar="push|pull"
    )
    push = command.subcommand(
        data,
        "push",
        _data_push,
        "Check a data file and upload it below dataset/.",
        f"{PROGRAM} data push creditcard.csv",
    )
    push.add_argument("file", type=Path)
    push.add_argument("--name", help="name in S3; the file's own by default")
    fetch = command.subcommand(
        data, "pull", _data_pull, "Download everything below dataset/, checked.", f"{PROGRAM} data pull data/"
    )
    fetch.add_argument("folder", type=Path)

    serve = command.subcommand(
        verbs,
        "serve",
        _serve,
        "Serve the champion, else the newest local model, else one trained on the sample.",
        f"{PROGRAM} serve --port 3000",
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on")
    serve.add_argument("--port", type=_positive, default=3000)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="SOURCE",
        help="CSV or Parquet path, s3://bucket/key, openml, or sample[:ROWS[:SEED]]; several are joined in time order",
    )


def _share(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"expected a share above 0 and at most 1, got {text}")
    return number


def _weight(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"expected a positive weight, got {text}")
    return number


def _seed(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to {2**32 - 1}, got {text}")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return number


if __name__ == "__main__":
    sys.exit(main())
