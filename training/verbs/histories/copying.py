"""``history copy``: states from one store into another, or to a schema that gained a window."""

import argparse
import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

from fraud import command
from fraud.argument_types import MODEL_NAMES
from fraud.command import Verbs
from fraud.errors import DataError
from training.console import Steps
from training.verbs import PROGRAM
from training.verbs.histories import models_of

if TYPE_CHECKING:
    from fraud.settings import Settings


def add_to(history: Verbs) -> None:
    """Register the verb."""
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
    copy.add_argument(
        "--from",
        dest="source",
        metavar="URL",
        help="the other store, or @FILE, which holds its URL and the password in it (default: the same)",
    )
    copy.add_argument("--from-model", metavar="MODEL", help="whose windows it has (default: the same)")
    copy.add_argument(
        "--model", metavar="MODEL", help=f"{MODEL_NAMES} (default: FRAUD_MODEL, else the chosen one, else the newest)"
    )


def _copy(arguments: argparse.Namespace) -> dict[str, Any]:
    from fraud.history.address import shown
    from fraud.history.files.folder import url_of
    from fraud.history.layout import layouts
    from fraud.history.stores import open_store
    from fraud.settings import Settings
    from training.histories import copying, online

    settings, served = Settings.from_env(), models_of.served(arguments.model)
    before = served if arguments.from_model is None else models_of.served(arguments.from_model)
    if arguments.source is None and before.version == served.version:
        raise DataError("say where from: --from URL, --from-model MODEL, or both")
    hasher, steps = models_of.hasher(served), Steps()
    models_of.hasher(before)
    source = settings if arguments.source is None else _at(arguments.source)
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


def _at(url: str) -> "Settings":
    """The settings with another store. Raises SettingsError where that is no address of one."""
    from fraud.settings import Settings

    others = {name: value for name, value in os.environ.items() if not name.startswith("FRAUD_HISTORY_URL")}
    name, value = ("FRAUD_HISTORY_URL_FILE", url[1:]) if url.startswith("@") else ("FRAUD_HISTORY_URL", url)
    return Settings.from_env({**others, name: value})
