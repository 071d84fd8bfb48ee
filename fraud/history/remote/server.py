"""What a server of Redis says of itself, and of the store that it holds; nothing is written here."""

import json
from typing import Any

from fraud.errors import HistoryError
from fraud.history.address import shown
from fraud.history.remote import names

FORMAT = 1


def oddities(client: Any, url: str) -> list[str]:  # noqa: ANN401 - its types say less than they mean
    """What is to be told of the server. Raises HistoryError where it cannot have a store."""
    where, about = shown(url), client.info()
    if about.get("cluster_enabled"):
        raise HistoryError(f"{where} is a Redis Cluster, where a batch would be of several servers: name one server")
    policy = about.get("maxmemory_policy", "noeviction")
    if about.get("maxmemory") and policy != "noeviction":
        return [
            f"{where}: maxmemory-policy is {policy}: when memory is short, histories leave without a word; with "
            "noeviction transactions are scored without theirs, and counted"
        ]
    return []


def memory(client: Any) -> tuple[int, int]:  # noqa: ANN401
    """Bytes that Redis takes, with whatever else it holds, and may take; 0 where nothing limits it."""
    about = client.info("memory")
    return int(about["used_memory"]), int(about["maxmemory"])


def facts(key_fingerprint: str) -> bytes:
    """What a store of this code says of itself."""
    return json.dumps({"format": FORMAT, "key_fingerprint": key_fingerprint}).encode()


def key_fingerprint(found: bytes, url: str) -> str:
    """Of the secret that the keys of a store are hashed with, by what it says. Raises HistoryError: it is no store."""
    try:
        form, fingerprint = (json.loads(found)[name] for name in ("format", "key_fingerprint"))
    except (ValueError, LookupError, TypeError):
        raise HistoryError(
            f"{shown(url)}: {names.FACTS.decode()} is not of histories: name another database of Redis"
        ) from None
    if form != FORMAT:
        raise HistoryError(f"{shown(url)}: histories of format {form}, this code has {FORMAT}")
    return str(fingerprint)


def check_key(found: bytes, ours: str, url: str) -> None:
    """Raise HistoryError unless the store says that it is of this code, and its keys hashed with this secret."""
    theirs = key_fingerprint(found, url)
    if theirs != ours:
        raise HistoryError(
            f"{shown(url)} has histories of keys hashed with a FRAUD_KEY_SECRET of fingerprint {theirs}, and that of "
            f"{ours} is set: set the other, or name another database of Redis"
        )
