"""What a forest follows from: equal makings give equal forests, bit for bit, which is known without a fit.

Where the code is not known, as it was changed or is in no git checkout, it takes the fit to tell.
"""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version as installed
from platform import python_version
from typing import Any

from fraud import store
from fraud.manifest import Manifest, Recipe

_PACKAGES = ("scikit-learn", "numpy", "scipy", "joblib", "pandas", "bentoml")


@dataclass(frozen=True)
class Making:
    """Code, libraries, rows and how they are divided, and the recipe."""

    revision: str | None
    versions: dict[str, str]
    fingerprint: str
    synthetic: bool
    schema_hash: str
    key_fingerprint: str | None
    protocol: str
    split_seed: int
    recipe: Recipe
    refit: str

    @property
    def is_certain(self) -> bool:
        """Whether an equal one gives an equal forest: named days are no part of it, and changed code is unknown."""
        known = self.revision is not None and not self.revision.endswith("-dirty")
        return known and self.protocol != "dates"


def making_of(manifest: Manifest) -> Making:
    """That of a model that is there."""
    return Making(
        manifest.git_revision,
        manifest.versions,
        manifest.data.fingerprint,
        manifest.synthetic,
        manifest.schema_hash,
        manifest.key_fingerprint,
        manifest.split.protocol,
        manifest.split.seed,
        manifest.settings,
        manifest.refit,
    )


def same_model(one: Manifest, other: Manifest) -> bool:
    """Whether two models are one, to the bit: forest, learnt categories, schema, secret of keys and threshold."""
    return _parts(one) == _parts(other)


def _parts(manifest: Manifest) -> tuple[object, ...]:
    files = {name: digest for name, digest in manifest.files.items() if name != store.PICKLE_FILE}
    return files, manifest.schema_hash, manifest.key_fingerprint, manifest.threshold


def same_case(one: Manifest, other: Manifest) -> bool:
    """Whether two models are one, and were held to the same rows."""
    rows = (one.data.fingerprint, one.split) == (other.data.fingerprint, other.split)
    return rows and same_model(one, other)


def library_versions() -> dict[str, str]:
    """Python and the packages that a forest depends on."""
    return {"python": python_version()} | {name: installed(name) for name in _PACKAGES}


def git_revision(command: Callable[..., Any] = subprocess.run) -> str | None:
    """The revision of the code, with ``-dirty`` when files were changed; None outside a git checkout."""
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = command(describe, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return result.stdout.strip() or None
