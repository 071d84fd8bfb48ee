"""Data sets to and from S3, below ``dataset/``: checked before they leave, verified when they arrive."""

import json
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fraud import manifest
from fraud.errors import DataError, RegistryError
from fraud.inputs.keys import KeyHasher
from fraud.remote import s3
from fraud.schema import Schema
from fraud.tables import keys, parquet_file, table

FOLDER = "dataset"
BASE = "base.parquet"
NEW = "new/"  # increments that came later
SUM = ".sha256.json"
"""Ends the name of the checksum that stands beside a data file."""
_PARQUET, _CSV = ".parquet", ".csv"
_TABLE_SUFFIXES = re.compile(r"(\.(csv|tsv|txt|parquet|pq))?(\.(gz|bz2|xz|zst|zip))?$", re.IGNORECASE)


def push(
    uri: str, path: Path, schema: Schema, name: str | None = None, hasher: KeyHasher | None = None
) -> dict[str, Any]:
    """Upload a labelled data file; its checksum goes last, and without it the file is not pulled.

    A file that holds keys in plain becomes a Parquet file of the same rows with their hashes; hashes that it holds
    already count as made by ``hasher``. Raises DataError when the file does not hold labelled transactions, has plain
    keys and there is no ``hasher``, or could not be read under its new ``name``; RegistryError when S3 fails.
    """
    raw = table.read_table(path, schema)
    rows = len(table.check(raw, schema, labelled=True))
    if not (plain := keys.plain(raw, schema)):
        if name and name.lower().endswith(table.PARQUET_SUFFIXES) and not table.is_parquet(path):
            raise DataError.wrong_suffix(Path(name), _CSV)
        return _upload(path, s3.join(uri, FOLDER, name or path.name), rows, schema, hasher)
    if hasher is None:
        raise keys.not_kept(plain, path)
    target = s3.join(uri, FOLDER, _parquet_name(name, path))
    raw.attrs.pop(table.LAYOUT, None)  # which is that of the file as it was
    with tempfile.TemporaryDirectory(prefix="fraud-push-") as folder:
        converted = Path(folder) / BASE
        parquet_file.write(keys.hashed(raw, schema, hasher), converted, path)
        return {**_upload(converted, target, rows, schema, hasher), "keys_hashed": plain}


def _upload(path: Path, target: str, rows: int, schema: Schema, hasher: KeyHasher | None) -> dict[str, Any]:
    digest = manifest.sha256(path)
    s3.upload(path, target)
    facts = {"sha256": digest, "rows": rows, "bytes": path.stat().st_size, "schema_hash": schema.hash}
    if hasher and schema.of_kind("key"):
        facts["key_fingerprint"] = hasher.fingerprint
    s3.put(target + SUM, facts)
    return {"uri": target, "sha256": digest, "rows": rows}


def _parquet_name(name: str | None, path: Path) -> str:
    """What the Parquet file of ``path`` is called below FOLDER."""
    if name is None:
        return _TABLE_SUFFIXES.sub("", path.name) + _PARQUET
    if not name.endswith(table.PARQUET_SUFFIXES):
        raise DataError.wrong_suffix(Path(name), _PARQUET)
    return name


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
    key_fingerprint: str | None = None
    """Of the secret that its keys are hashed with; None where it has none, or nobody knows."""


def pushed(uri: str) -> Pushed | None:
    """What was kept of a data file that was pushed; None for one that was not. Raises RegistryError."""
    stored = s3.get(uri + SUM)
    if stored is None:
        return None
    try:
        facts = json.loads(stored[0])
        return Pushed(str(facts["sha256"]), facts.get("schema_hash"), facts.get("key_fingerprint"))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RegistryError(f"{uri}{SUM}: expected JSON with a sha256; push the data file again") from None


def remove(uris: Iterable[str]) -> None:
    """Delete data files, the checksum of each first: none is left without its file. Raises RegistryError."""
    s3.delete(sorted(uris, key=lambda uri: not uri.endswith(SUM)))
