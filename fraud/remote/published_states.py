"""What S3 says of a published model, and the states of keys that it goes on from: each file under a name of its own, so
that whoever reads while another one is put there gets one of both, whole.
"""

from pathlib import Path

from fraud import manifest as manifests
from fraud.home import history_path
from fraud.manifest import Manifest, StoredDocument
from fraud.remote import s3


class Published(StoredDocument):
    """``manifest.json`` as it stands in S3: the model's own manifest and the archive it describes."""

    manifest: Manifest
    archive_sha256: str
    archive_bytes: int
    rows_sha256: str
    history_sha256: str | None = None
    """Of the states of keys that the model goes on from, ``history-<sha256>.parquet`` beside it; None: there are none.
    """


def upload(folder: str, path: Path) -> str | None:
    """Send states, if there are any; their SHA-256, for the manifest. Raises RegistryError."""
    if not path.is_file():
        return None
    sha256 = manifests.sha256(path)
    s3.upload(path, _address(folder, sha256))
    return sha256


def put(folder: str, published: Published, path: Path) -> Published:
    """Make ``path`` the states that the model published in ``folder`` goes on from; those of before are deleted.

    Raises RegistryError.
    """
    before, after = published.history_sha256, manifests.sha256(path)
    if after == before:
        return published
    upload(folder, path)
    changed = published.model_copy(update={"history_sha256": after})
    s3.put(s3.join(folder, manifests.FILE), changed.model_dump(mode="json"))
    if before is not None:
        s3.delete([_address(folder, before)])
    return changed


def fetch(folder: str, published: Published, target: Path) -> bool:
    """The states, verified, as ``target``; False where there are none. Raises RegistryError."""
    if published.history_sha256 is None:
        return False
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    s3.download(_address(folder, published.history_sha256), target, sha256=published.history_sha256)
    target.chmod(0o600)
    return True


def keep(folder: str, published: Published) -> None:
    """Have the published states beside the local model, in place of others. Raises RegistryError."""
    path = history_path(published.manifest.model_version)
    if not (path.is_file() and manifests.sha256(path) == published.history_sha256):
        fetch(folder, published, path)


def name(sha256: str) -> str:
    """What the file is called."""
    return f"history-{sha256}.parquet"


def _address(folder: str, sha256: str) -> str:
    return s3.join(folder, name(sha256))
