"""Verbs on what keys did before: history build, warm, copy, show and forget."""

import argparse
from contextlib import closing
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
    from fraud.replay.state_file import StateFile
    from fraud.schema import Schema

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
        "Put the saved state of a model into the online store of this machine, also while a service runs: the keys "
        "that it does not have. Done twice, the second changes nothing.",
        f"{PROGRAM} history warm --model champion",
    )
    warm.add_argument("--model", metavar="MODEL", help=_OF_MODEL)
    copy = command.subcommand(
        history,
        "copy",
        _copy,
        "Put the states of another store, or of a model whose schema had fewer windows, into the store that "
        "FRAUD_HISTORY_URL names: the keys that it does not have. Windows that both have keep what they hold; of "
        "others it says from when they are whole. Do it before the service is told of the new store, or model.",
        f"{PROGRAM} history copy --from file:///var/lib/fraud/history",
        f"{PROGRAM} history copy --from-model champion --model fraud_detector:latest",
    )
    copy.add_argument("--from", dest="source", metavar="URL", help="the other store (default: the same)")
    copy.add_argument("--from-model", metavar="MODEL", help="whose windows it has (default: the same)")
    copy.add_argument("--model", metavar="MODEL", help=_OF_MODEL)
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
    show.add_argument("--store", action="store_true", help="what the online store of this machine knows")
    forget = command.subcommand(
        history,
        "forget",
        _forget,
        "Erase keys from the saved states of all local models, from the online store of this machine, and from all "
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


def _warm(arguments: argparse.Namespace) -> dict[str, Any]:
    from fraud.history.address import shown
    from fraud.history.files.folder import url_of
    from fraud.settings import Settings
    from training.histories import online

    served = _served(arguments)
    hasher, settings, steps = _hasher(served.features.schema, served), Settings.from_env(), Steps()
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


def _copy(arguments: argparse.Namespace) -> dict[str, Any]:
    from fraud.history.address import shown
    from fraud.history.files.folder import url_of
    from fraud.history.layout import layouts
    from fraud.history.stores import open_store
    from fraud.settings import Settings
    from training.histories import copying, online

    settings, served = Settings.from_env(), _served(arguments)
    before = served if arguments.from_model is None else _served(argparse.Namespace(model=arguments.from_model))
    if arguments.source is None and before.version == served.version:
        raise DataError("say where from: --from URL, --from-model MODEL, or both")
    hasher, steps = _hasher(served.features.schema, served), Steps()
    _hasher(before.features.schema, before)
    source = settings.model_copy(update={"history_url": arguments.source}) if arguments.source else settings
    if not online.is_there(source):
        raise online.nowhere(source)
    own = layouts(before.features.schema)
    pairs = copying.pairs(own, layouts(served.features.schema))
    steps.start("history", f"Copying {shown(url_of(source))} to {shown(url_of(settings))}")
    with (
        closing(open_store(own, hasher.fingerprint, source)) as old,
        online.opened([new for _, new in pairs], hasher.fingerprint, settings) as new,
    ):
        copied = copying.copy(old, new, pairs)
    steps.done(f"{copied.added} states copied, {copied.there} were there already")
    for window, moment in copied.whole_from.items():
        steps.say(f"{window} is whole from {moment}")
    return {
        "model_version": served.version,
        "from_model": before.version,
        "from": shown(url_of(source)),
        "store": shown(url_of(settings)),
        "states_copied": copied.added,
        "states_there_already": copied.there,
        "whole_from": copied.whole_from,
    }


def _show(arguments: argparse.Namespace) -> dict[str, Any]:
    from fraud.replay import readable
    from fraud.replay.keyed import packed

    served = _served(arguments)
    hasher = _hasher(served.features.schema, served)
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
    local, online, remote = forget.from_local(keys), forget.from_online(keys, hasher), registry_if_set()
    published = forget.from_published(keys, remote) if remote else None
    gone = forget.document(local, online, published)
    if not gone["states_gone"]:
        steps.say("nothing was known of these keys")
    for line in forget.left(online, published):
        steps.say(line)
    return gone


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
        raise SettingsError.no_secret(schema.name, served.manifest.key_fingerprint)
    keys.check_secret(served.version, served.manifest.key_fingerprint, hasher)
    return hasher


def _check_output(path: Path, suffixes: tuple[str, ...]) -> None:
    """Before the long work, not after it."""
    if path.suffix not in suffixes:
        raise DataError.wrong_suffix(path, *suffixes)
    if not path.parent.is_dir():
        raise DataError.no_folder(path.parent)
