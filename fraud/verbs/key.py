"""``python -m fraud key``: a new key of the service, for callers or for Prometheus, and its hash."""

import argparse

from fraud import command, keys
from fraud.command import Verbs
from fraud.verbs import PROGRAM


def add_to(verbs: Verbs) -> None:
    """Register the verb."""
    command.subcommand(
        verbs,
        "key",
        _key,
        "Make a key: give it to the caller and its hash to FRAUD_API_KEYS, or to Prometheus and FRAUD_METRICS_KEYS. "
        "It is shown this once.",
        f"{PROGRAM} key",
    )


def _key(_: argparse.Namespace) -> dict[str, str]:
    key, digest = keys.make()
    return {"key": key, "sha256": digest}
