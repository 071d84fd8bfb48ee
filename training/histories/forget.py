"""A key's erasure from saved states: those of every local model, and the published ones."""

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from fraud import home
from fraud.remote import published_states
from fraud.remote.registry import Registry
from fraud.replay import state_file


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


def document(local: dict[str, int], published: dict[str, int] | None) -> dict[str, Any]:
    """What went, and what is left."""
    return {
        "states_gone": sum(local.values()) + sum((published or {}).values()),
        "local": local,
        "published": published,
    }
