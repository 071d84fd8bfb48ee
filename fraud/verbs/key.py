"""``python -m fraud key``: a new key of the service, for callers or for Prometheus, and its hash; or a new secret."""

import argparse
import re

from fraud import command, keys
from fraud.command import PlainText, Verbs
from fraud.verbs import PROGRAM


def add_to(verbs: Verbs) -> None:
    """Register the verb."""
    key = command.subcommand(
        verbs,
        "key",
        _key,
        "Make a key: give it to the caller and its hash to FRAUD_API_KEYS, or to Prometheus and FRAUD_METRICS_KEYS. "
        "It is shown this once.",
        f"{PROGRAM} key",
        f"{PROGRAM} key --name shop",
        f"{PROGRAM} key --name cases --kind label",
        f"{PROGRAM} key --secret > key-secret",
    )
    either = key.add_mutually_exclusive_group()
    either.add_argument("--name", metavar="NAME", help="what the key is called, as FRAUD_API_KEYS takes it")
    key.add_argument(
        "--kind",
        action="append",
        choices=keys.KINDS,
        default=[],
        help="what the named key is good for, may be given again (default: everything but metrics)",
    )
    either.add_argument("--secret", action="store_true", help="print a new FRAUD_KEY_SECRET alone, and no key")


def _key(arguments: argparse.Namespace) -> dict[str, str] | PlainText:
    if arguments.secret and not arguments.kind:
        return PlainText(f"{keys.make_secret()}\n")
    name = arguments.name
    if name is not None and not re.fullmatch(keys.NAME, name):
        arguments.wrong_usage("--name: expected up to 64 letters, digits, dots, hyphens and underscores")
    if arguments.kind and name is None:
        arguments.wrong_usage("--kind: give the key a --name too")
    key, digest = keys.make()
    setting = {} if name is None else {"setting": keys.entry(name, dict.fromkeys(arguments.kind), digest)}
    return {"key": key, "sha256": digest, **setting}
