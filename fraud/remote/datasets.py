"""Data sets to and from S3, below ``dataset/``: checked before they leave, verified when they arrive."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fraud import manifest
from fraud.errors import DataError, RegistryError
from fraud.remote import s3
from fraud.schema import Schema
from fraud.tables import table

FOLDER = "dataset"
BASE = "base.parquet"
NEW = "new/"  # increments that came later
SUM = ".sha256.json"
"""Ends the name of the checksum that stands beside a data file."""


def push(uri: str, path: Path, schema: Schema, name: str | None = None) -> dict[str, Any]:
    """Upload a labelled data file; its checksum goes last, and without it the file is not pulled.

    Raises DataError when the file does not hold labelled transactions, RegistryError when S3 fails.
    """
    frame = table.check(table.read_table(path, schema), schema, labelled=True)
    target = s3.join(uri, FOLDER, name or path.name)
    digest = manifest.sha256(path)
    s3.upload(path, target)
    facts = {"sha256": digest, "rows": len(frame), "bytes": path.stat().st_size, "schema_hash": schema.hash}
    s3.put(target + SUM, facts)
    return {"uri": target, "sha256": digest, "rows": len(frame)}


def pull(uri: str, folder: Path) -> dict[str, Any]:
    """Download every pushed data file into ``folder``.

    Raises RegistryError when one is not what was pushed or would lie elsewhere, DataError when it cannot be written.
    """
    base = s3.join(uri, FOLDER, "")
    sums = [key for key in s3.keys(base) if key.endswith(SUM)]
    if not sums:
        raise RegistryError(f"{base}: no data set there; push one with `python -m training data push FILE`")
    files = []
    for key in sums:
        source = key.removesuffix(SUM)
        target = folder / source.removeprefix(base)
        if not target.resolve().is_relative_to(folder.resolve()):
            raise RegistryError(f"{source}: the name leads out of {folder}; remove the object from the bucket")
        facts = pushed(source)
        expected = facts.sha256 if facts else None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            s3.download(source, target, sha256=expected)
        except OSError as error:
            raise DataError.not_writable(target, error) from None
        files.append({"path": str(target), "sha256": expected})
    return {"files": files}


@dataclass(frozen=True)
class Pushed:
    """What a data file was when it was pushed; before schemas were declared its hash was not kept."""

    sha256: str
    schema_hash: str | None


def pushed(uri: str) -> Pushed | None:
    """What was kept of a data file that was pushed; None for one that was not. Raises RegistryError."""
    stored = s3.get(uri + SUM)
    if stored is None:
        return None
    try:
        facts = json.loads(stored[0])
        return Pushed(str(facts["sha256"]), facts.get("schema_hash"))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RegistryError(f"{uri}{SUM}: expected JSON with a sha256; push the data file again") from None


def remove(uris: Iterable[str]) -> None:
    """Delete data files, the checksum of each first: none is left without its file. Raises RegistryError."""
    s3.delete(sorted(uris, key=lambda uri: not uri.endswith(SUM)))
