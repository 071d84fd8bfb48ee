"""Data sets to and from S3, below ``dataset/``: checked before they leave, verified when they arrive."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fraud import manifest, s3, table
from fraud.errors import RegistryError

FOLDER = "dataset"
SUM = ".sha256.json"
"""Ends the name of the checksum that stands beside a data file."""


def push(uri: str, path: Path, name: str | None = None) -> dict[str, Any]:
    """Upload a labelled data file; its checksum goes last, and without it the file is not pulled.

    Raises DataError when the file does not hold labelled transactions, RegistryError when S3 fails.
    """
    frame = table.check(table.read(path), labelled=True)
    target = s3.join(uri, FOLDER, name or path.name)
    digest = manifest.sha256(path)
    s3.upload(path, target)
    s3.put(target + SUM, {"sha256": digest, "rows": len(frame), "bytes": path.stat().st_size})
    return {"uri": target, "sha256": digest, "rows": len(frame)}


def pull(uri: str, folder: Path) -> dict[str, Any]:
    """Download every pushed data file into ``folder``. Raises RegistryError when one is not what was pushed."""
    import json

    base = s3.join(uri, FOLDER, "")
    sums = [key for key in s3.keys(base) if key.endswith(SUM)]
    if not sums:
        raise RegistryError(f"{base}: no data set there; push one with `python -m training data push FILE`")
    files = []
    for key in sums:
        source = key.removesuffix(SUM)
        found = s3.get(key)
        expected = json.loads(found[0])["sha256"] if found else None
        target = folder / source.removeprefix(base)
        target.parent.mkdir(parents=True, exist_ok=True)
        s3.download(source, target, sha256=expected)
        files.append({"path": str(target), "sha256": expected})
    return {"files": files}


def remove(uris: Iterable[str]) -> None:
    """Delete data files, the checksum of each first: none is left without its file. Raises RegistryError."""
    s3.delete(sorted(uris, key=lambda uri: not uri.endswith(SUM)))
