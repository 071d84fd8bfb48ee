"""A key's erasure: from the saved states of every local model, from published ones, and from the online store."""

import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from fraud import home, store
from fraud.history.address import shown
from fraud.history.files.folder import url_of
from fraud.history.layout import layouts
from fraud.inputs.keys import KeyHasher
from fraud.remote import published_states
from fraud.remote.registry import Registry
from fraud.replay import state_file
from fraud.settings import MODEL_NAME, Settings
from training.histories import online


def from_local(keys: Collection[bytes]) -> dict[str, int]:
    """How many states went, by version, of each file that is there. Raises ModelError, FraudError."""
    folder = home.history_path("-").parent
    return {path.stem: state_file.without(path, keys) for path in sorted(folder.glob("*.parquet"))}


def from_published(keys: Collection[bytes], remote: Registry) -> dict[str, int]:
    """The same of what is published; where the bucket keeps versions, those of before stay there until they expire."""
    gone = {}
    for published in remote.versions():
        version = published.manifest.model_version
        with tempfile.TemporaryDirectory(prefix="fraud-forget-") as folder:
            path = Path(folder) / "states.parquet"
            if published_states.fetch(remote.folder(version), published, path):
                gone[version] = state_file.without(path, keys)
                if gone[version]:
                    published_states.put(remote.folder(version), published, path)
    return gone


def from_online(keys: Collection[bytes], hasher: KeyHasher | None) -> int | None:
    """How many states went of the online store; None where it cannot be opened or is not there.

    It is opened as one of a local model that looks at histories; the states of all others go too. Raises HistoryError.
    """
    settings = Settings.from_env()
    schemas = [store.read_manifest(store.get(f"{MODEL_NAME}:{one}")).schema_of() for one in store.versions()]
    own = next((layouts(schema) for schema in schemas if schema.history), None)
    if own is None or hasher is None or not online.is_there(settings):
        return None
    with online.opened(own, hasher.fingerprint, settings) as held:
        return online.forget(held, keys)


def left(online_gone: int | None, published: dict[str, int] | None) -> Iterator[str]:
    """Where keys may still be, in words."""
    yield "files of transactions and the prediction log are left: what is trained or built of them knows the keys again"
    settings = Settings.from_env()
    if online_gone is None and online.is_there(settings):
        yield (
            f"{shown(url_of(settings))} still holds the keys: it takes FRAUD_KEY_SECRET and a local model with "
            "histories to open it"
        )
    if aside := online.set_aside(settings):
        yield f"{url_of(settings)}: files that were set aside may hold the keys: delete {', '.join(aside)}"
    if published is None:
        yield "FRAUD_S3_URI is not set: states that were published still hold the keys"
    elif any(published.values()):
        yield "where the bucket keeps versions, the states of before stay there until these expire"


def document(local: dict[str, int], online_gone: int | None, published: dict[str, int] | None) -> dict[str, Any]:
    """What went, by place."""
    gone = sum(local.values()) + (online_gone or 0) + sum((published or {}).values())
    return {"states_gone": gone, "local": local, "online": online_gone, "published": published}
