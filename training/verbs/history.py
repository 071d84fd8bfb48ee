"""Verbs on what keys did before: history build, history show, history forget."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraud import command
from fraud.argument_types import MODEL_NAMES, TABLES, local_path
from fraud.command import Verbs
from fraud.errors import DataError, ModelError, SettingsError
from fraud.remote.resolve import registry_if_set, resolve
from fraud.verbs import schema_option
from training.console import Steps
from training.verbs import PROGRAM, options

if TYPE_CHECKING:
    from fraud import store
    from fraud.inputs.keys import KeyHasher
    from fraud.schema import Schema

_OF_MODEL = f"{MODEL_NAMES} (default: FRAUD_MODEL, else the chosen one, else the newest)"


def add_to(verbs: Verbs) -> None:
    """Register the verbs."""
    group = verbs.add_parser("history", help="What cards, customers or terminals did before: build, show, forget.")
    history = group.add_subparsers(required=True, metavar="build|show|forget")
    build = command.subcommand(
        history,
        "build",
        _build,
        "Count the histories of all rows of files, larger than memory if need be, and keep the state as of the last "
        "row beside the model, where `score` goes on from it; published where the model is. Give all rows that its "
        "windows reach back to: a build begins with nothing. Of rows with one id the last given counts.",
        f"{PROGRAM} history build transactions/",
        f"{PROGRAM} history build --model champion s3://bucket/dataset/ --features features.parquet",
    )
    build.add_argument("data", nargs="+", metavar="DATA", help=TABLES)
    build.add_argument("--model", metavar="MODEL", help=_OF_MODEL)
    schema_option.add_schema(build)
    build.add_argument(
        "--features",
        type=local_path,
        metavar="OUT",
        help="write the features of each row too, with its id, in the order of the input, as Parquet",
    )
    show = command.subcommand(
        history,
        "show",
        _show,
        "What the saved state of a model knows of a key.",
        f"{PROGRAM} history show 4970",
        f"{PROGRAM} history show h1:0123456789abcdef0123456789abcdef --model champion",
    )
    show.add_argument("key", metavar="KEY", help="in plain, or hashed")
    show.add_argument("--model", metavar="MODEL", help=_OF_MODEL)
    forget = command.subcommand(
        history,
        "forget",
        _forget,
        "Erase keys from the saved states of all local models, and of all published ones where FRAUD_S3_URI is set.",
        f"{PROGRAM} history forget 4970 5012",
    )
    forget.add_argument("keys", nargs="+", metavar="KEY", help="in plain, or hashed")


def _build(arguments: argparse.Namespace) -> dict[str, Any]:
    from fraud.home import history_path
    from fraud.remote import sources
    from fraud.replay import building
    from fraud.tables import table

    if arguments.features is not None:
        _check_output(arguments.features, table.PARQUET_SUFFIXES)
    served = _served(arguments)
    given = schema_option.schema_given(arguments)
    served.check_schema(given)
    schema, version = given or served.features.schema, served.version
    hasher, steps = _hasher(schema, served), Steps()
    target = history_path(version)
    steps.start("history", f"Counting {', '.join(arguments.data)} for {version}")
    with building.bar(steps.console) as observer:
        built = building.build(
            sources.find(arguments.data), schema, hasher, target, features=arguments.features, observer=observer
        )
    steps.done(f"{built.facts.rows} rows, {built.keys} states of keys, as of {built.facts.as_of}")
    return {
        "model_version": version,
        "state": str(target),
        "as_of": built.facts.as_of,
        "rows": built.facts.rows,
        "duplicates_left_out": built.duplicates,
        "keys": built.keys,
        "features": None if arguments.features is None else str(arguments.features),
        "published": _publish(version, target),
    }


def _publish(version: str, path: Path) -> str | None:
    """Where the state went in S3; None where the model is not published."""
    from fraud.remote import published_states, s3

    remote = registry_if_set()
    published = remote.published(version) if remote else None
    if remote is None or published is None:
        return None
    after = published_states.put(remote.folder(version), published, path)
    return s3.join(remote.folder(version), published_states.name(str(after.history_sha256)))


def _show(arguments: argparse.Namespace) -> dict[str, Any]:
    from fraud.home import history_path
    from fraud.replay import readable
    from fraud.replay.keyed import packed
    from fraud.replay.state_file import StateFile

    served = _served(arguments)
    schema = served.features.schema
    hasher = _hasher(schema, served)
    path = history_path(served.version)
    if not path.is_file():
        raise ModelError(f"{path}: no state is saved; `{PROGRAM} history build` makes one")
    file, key = StateFile(path, schema, hasher.fingerprint), hasher(arguments.key)
    at = file.facts.as_of_us
    parts = file.of_keys({bytes(packed([key])[0])})
    known = [readable.document(file.layouts[number], state, at) for number, _, states in parts for state in states]
    steps = Steps()
    for one in known:
        steps.say(readable.words(one))
    if not known:
        steps.say("nothing is known of this key")
    return {"model_version": served.version, "state_as_of": file.facts.as_of, "key": key, "histories": known}


def _forget(arguments: argparse.Namespace) -> dict[str, Any]:
    from fraud.replay.keyed import packed
    from training.histories import forget

    hasher, steps = options.hasher(), Steps()
    keys = {bytes(key) for key in packed(hasher(key) if hasher else key for key in arguments.keys)}
    local, remote = forget.from_local(keys), registry_if_set()
    published = forget.from_published(keys, remote) if remote else None
    if remote is None:
        steps.say("FRAUD_S3_URI is not set: states that were published still hold the keys")
    elif any((published or {}).values()):
        steps.say("where the bucket keeps versions, the states of before stay there until these expire")
    return forget.document(local, published)


def _served(arguments: argparse.Namespace) -> "store.Served":
    from fraud import store

    return store.open_served(store.get(resolve(arguments.model, registry_if_set(), pull=True).tag))


def _hasher(schema: "Schema", served: "store.Served") -> "KeyHasher":
    """Of the secret that the model's keys were hashed with. Raises DataError, SettingsError."""
    from fraud.tables import keys

    if not schema.history:
        raise DataError(f"{served.version}: its schema {schema.name} declares no [[history]]")
    hasher = options.hasher()
    if hasher is None:
        raise SettingsError.no_secret(schema.name)
    keys.check_secret(served.version, served.manifest.key_fingerprint, hasher)
    return hasher


def _check_output(path: Path, suffixes: tuple[str, ...]) -> None:
    """Before the long work, not after it."""
    if path.suffix not in suffixes:
        raise DataError.wrong_suffix(path, *suffixes)
    if not path.parent.is_dir():
        raise DataError.no_folder(path.parent)
