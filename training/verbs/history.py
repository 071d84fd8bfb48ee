"""Verbs on what keys did before: history build, warm, copy, show and forget."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraud import command
from fraud.argument_types import MODEL_NAMES, TABLES, local_path
from fraud.command import Verbs
from fraud.errors import DataError, ModelError
from fraud.remote.resolve import registry_if_set
from fraud.verbs import schema_option
from training.console import Steps
from training.verbs import PROGRAM, options
from training.verbs.histories import copying, models_of

if TYPE_CHECKING:
    from fraud import store
    from fraud.inputs.keys import KeyHasher
    from fraud.replay.state_file import StateFile

_OF_MODEL = f"{MODEL_NAMES} (default: FRAUD_MODEL, else the chosen one, else the newest)"


def add_to(verbs: Verbs) -> None:
    """Register the verbs."""
    group = verbs.add_parser(
        "history", help="What cards, customers or terminals did before: build, warm, copy, show, forget."
    )
    history = group.add_subparsers(required=True, metavar="build|warm|copy|show|forget")
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
    warm = command.subcommand(
        history,
        "warm",
        _warm,
        "Put the saved state of a model into the online store (FRAUD_HISTORY_URL), also while a service runs: the keys "
        "that it does not have. Done twice, the second changes nothing.",
        f"{PROGRAM} history warm --model champion",
    )
    warm.add_argument("--model", metavar="MODEL", help=_OF_MODEL)
    copying.add_to(history)
    show = command.subcommand(
        history,
        "show",
        _show,
        "What is known of a key: by the saved state of a model, or by the online store.",
        f"{PROGRAM} history show 4970",
        f"{PROGRAM} history show h1:0123456789abcdef0123456789abcdef --model champion",
    )
    show.add_argument("key", metavar="KEY", help="in plain, or hashed")
    show.add_argument("--model", metavar="MODEL", help=_OF_MODEL)
    show.add_argument("--store", action="store_true", help="what the online store (FRAUD_HISTORY_URL) knows")
    forget = command.subcommand(
        history,
        "forget",
        _forget,
        "Erase keys from the saved states of all local models, from the online store (FRAUD_HISTORY_URL), and from all "
        "published states where FRAUD_S3_URI is set; not from your files and the prediction log. A transaction "
        "that comes later begins anew.",
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
    served = models_of.served(arguments.model)
    given = schema_option.schema_given(arguments)
    served.check_schema(given)
    schema, version = given or served.features.schema, served.version
    hasher, steps = models_of.hasher(served), Steps()
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


def _warm(arguments: argparse.Namespace) -> dict[str, Any]:
    from fraud.history.address import shown
    from fraud.history.files.folder import url_of
    from fraud.settings import Settings
    from training.histories import online

    served = models_of.served(arguments.model)
    hasher, settings, steps = models_of.hasher(served), Settings.from_env(), Steps()
    saved = _saved(served, hasher)
    steps.start("history", f"Warming {shown(url_of(settings))} from the state of {served.version}")
    with online.opened(saved.layouts, hasher.fingerprint, settings) as store:
        warmed = online.warm(store, saved)
    steps.done(f"{warmed.added} keys added, {warmed.there} were there already")
    return {
        "model_version": served.version,
        "state_as_of": saved.facts.as_of,
        "store": shown(url_of(settings)),
        "keys_added": warmed.added,
        "keys_there_already": warmed.there,
    }


def _show(arguments: argparse.Namespace) -> dict[str, Any]:
    from fraud.replay import readable
    from fraud.replay.keyed import packed

    served = models_of.served(arguments.model)
    hasher = models_of.hasher(served)
    hashed = hasher(arguments.key)
    key = bytes(packed([hashed])[0])
    where, known = (_in_store if arguments.store else _in_file)(served, hasher, key)
    steps = Steps()
    for one in known:
        steps.say(readable.words(one))
    if not known:
        steps.say("nothing is known of this key")
    return {"model_version": served.version, **where, "key": hashed, "histories": known}


_Known = tuple[dict[str, str], list[dict[str, Any]]]


def _in_file(served: "store.Served", hasher: "KeyHasher", key: bytes) -> _Known:
    from fraud.replay import readable

    saved = _saved(served, hasher)
    at, layouts = saved.facts.as_of_us, saved.layouts
    states = [(number, state) for number, _, own in saved.of_keys({key}) for state in own]
    return {"state_as_of": saved.facts.as_of}, [readable.document(layouts[number], one, at) for number, one in states]


def _in_store(served: "store.Served", hasher: "KeyHasher", key: bytes) -> _Known:
    from fraud.history.address import shown
    from fraud.history.files.folder import url_of
    from fraud.history.layout import layouts
    from fraud.settings import Settings
    from training.histories import online

    settings, own = Settings.from_env(), layouts(served.features.schema)
    if not online.is_there(settings):
        raise online.nowhere(settings)
    with online.opened(own, hasher.fingerprint, settings) as store:
        return {"store": shown(url_of(settings))}, online.known(store, own, key)


def _saved(served: "store.Served", hasher: "KeyHasher") -> "StateFile":
    """The state of a model. Raises ModelError where none is saved."""
    from fraud.home import history_path
    from fraud.replay.state_file import StateFile

    path = history_path(served.version)
    if not path.is_file():
        raise ModelError(f"{path}: no state is saved; `{PROGRAM} history build` makes one")
    return StateFile(path, served.features.schema, hasher.fingerprint)


def _forget(arguments: argparse.Namespace) -> dict[str, Any]:
    from fraud.replay.keyed import packed
    from training.histories import forget

    hasher, steps = options.hasher(), Steps()
    keys = {bytes(key) for key in packed(hasher(key) if hasher else key for key in arguments.keys)}
    online, local, remote = forget.from_online(keys, hasher), forget.from_local(keys), registry_if_set()
    published = forget.from_published(keys, remote) if remote else None
    gone = forget.document(local, online, published)
    if not gone["states_gone"]:
        steps.say("nothing was known of these keys")
    for line in forget.left(online, published):
        steps.say(line)
    return gone


def _check_output(path: Path, suffixes: tuple[str, ...]) -> None:
    """Before the long work, not after it."""
    if path.suffix not in suffixes:
        raise DataError.wrong_suffix(path, *suffixes)
    if not path.parent.is_dir():
        raise DataError.no_folder(path.parent)
