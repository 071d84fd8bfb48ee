"""The seal of a model-store entry: its own ``model.yaml`` keeps the SHA-256 of every other file, the manifest included.

It shows accidents: a file that was edited, lost, or put in. Whoever edits ``model.yaml`` too is not found out.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraud.errors import ModelError
from fraud.manifest import sha256

if TYPE_CHECKING:
    import bentoml

KEY = "sha256"
"""Where they stand in the entry's metadata, which ``bentoml models get`` shows."""
ENTRY_FILE = "model.yaml"
"""BentoML's own file, which cannot hold its own hash."""


def of_folder(folder: Path) -> dict[str, Any]:
    """SHA-256 of each file below ``folder`` but BentoML's own, by its name there."""
    return {name: sha256(folder / name) for name in _names(folder)}


def are_kept(entry: "bentoml.Model") -> bool:
    """Whether the entry was sealed; those of earlier versions were not."""
    return KEY in entry.info.metadata


def check(entry: "bentoml.Model") -> None:
    """Raise ModelError, naming the files, unless those of a sealed entry are the ones that were saved."""
    if not are_kept(entry):
        return
    kept = entry.info.metadata[KEY]
    expected, folder = kept if isinstance(kept, dict) else {}, Path(entry.path)
    there = _names(folder)
    if extra := there - expected.keys():
        raise ModelError.not_sound(entry.tag, f"{_listed(extra)} was not saved with it")
    if missing := expected.keys() - there:
        raise ModelError.not_sound(entry.tag, f"{_listed(missing)} is missing")
    try:
        changed = {name for name in there if sha256(folder / name) != expected[name]}
    except OSError as error:
        raise ModelError.not_sound(entry.tag, f"its files cannot be read ({error})") from None
    if changed:
        raise ModelError.changed(entry.tag, _listed(changed))


def _names(folder: Path) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return {path.relative_to(folder).as_posix() for path in paths} - {ENTRY_FILE}


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
