"""The entry ``fraud_detector:<version>`` in the BentoML model store, read with care; ``fraud.saving`` writes it."""

import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fraud import checksums
from fraud import manifest as manifests
from fraud.errors import ModelError, SchemaError, system_words
from fraud.features import FeaturePath
from fraud.home import folder as home_folder
from fraud.inputs import encoding, summaries
from fraud.inputs.levels import Levels, moved
from fraud.manifest import Manifest
from fraud.schema import Schema
from fraud.scorer import file as forest_file
from fraud.scorer.file import Probes
from fraud.scorer.forest import Forest
from fraud.settings import MODEL_NAME

if TYPE_CHECKING:
    import bentoml

LOG = logging.getLogger(__name__)

FOREST_FILE = "forest.safetensors"
_SHOWN = 5  # versions that an error names
PICKLE_FILE = "saved_model.pkl"  # the name that bentoml.sklearn.load_model looks for


@dataclass(frozen=True)
class Served:
    """A model ready to score: checked and exact."""

    version: str
    forest: Forest
    manifest: Manifest
    features: FeaturePath
    """From rows of its own schema to what its forest takes."""

    def check_schema(self, schema: Schema | None) -> None:
        """Raise SchemaError when somebody names another schema than the model's."""
        own = self.features.schema
        if schema is not None and schema.hash != own.hash:
            other = schema.name if schema.name != own.name else f"another one of that name ({schema.hash[:12]})"
            problem = f"{self.version} was made for the schema {own.name}, not for {other}"
            raise SchemaError(f"{problem}: it carries its own, leave --schema and FRAUD_SCHEMA out")

    def score(self, rows: NDArray[np.float64], levels: Levels | None = None, threads: int = 1) -> NDArray[np.float64]:
        """Scores of rows ``(n, inputs)``, whose categories are places in ``levels``, or in the model's own."""
        own = self.features.encoding.levels
        rows = rows if levels is None else moved(rows, self.features.schema, levels, own)
        return self.forest.score(self.features.transform(rows), threads)


def rows_path(version: str) -> Path:
    """Where the sorted hashes of the rows that a model was fitted on are kept locally: outside of the entry."""
    return home_folder() / "fraud_rows" / f"{version}.npy"


def row_hashes(entry: "bentoml.Model") -> NDArray[np.uint64] | None:
    """Sorted hashes of the rows that a model was fitted on; None when not here. Raises ModelError when damaged."""
    path = rows_path(str(entry.tag.version))
    if not path.is_file():
        return None
    try:
        hashes: NDArray[np.uint64] = np.load(path)
    except (ValueError, EOFError, OSError) as error:
        raise ModelError.not_sound(path, f"cannot be read ({system_words(error)}), remove it") from None
    if hashes.dtype != np.uint64 or hashes.ndim != 1:
        raise ModelError.not_sound(path, "holds no hashes of rows, remove it")
    return hashes


def get(tag: str) -> "bentoml.Model":
    """The store's entry of ``tag``. Raises ModelError when there is none."""
    import bentoml
    from bentoml.exceptions import NotFound

    try:
        return bentoml.models.get(tag)
    except NotFound:
        raise ModelError(f"the model store has no {tag}; {_holdings()}") from None
    except Exception as error:  # noqa: BLE001 - whatever makes BentoML stumble over its own file
        odd = isinstance(error, ValueError) and not isinstance(error, UnicodeError)
        if odd or "versions found" in str(error):  # several, of what was begun to be named
            raise ModelError(f"{tag}: not a model tag ({error}); expected {MODEL_NAME}:VERSION") from None
        raise ModelError.not_whole(error) from None


def versions() -> list[str]:
    """Versions of the model in the local store, newest first."""
    import bentoml

    try:
        entries = [entry for entry in bentoml.models.list() if entry.tag.name == MODEL_NAME]
    except Exception as error:  # noqa: BLE001 - as above
        raise ModelError.not_whole(error) from None
    return [str(one.tag.version) for one in sorted(entries, key=lambda one: one.creation_time, reverse=True)]


def _holdings() -> str:
    """What the store holds instead, newest first, and what to do."""
    held = [f"{MODEL_NAME}:{version}" for version in versions()]
    train = "train one with `python -m training run --data sample`"
    if not held:
        return f"it is empty: {train}"
    more = f" and {len(held) - _SHOWN} more" if len(held) > _SHOWN else ""
    return f"it holds {', '.join(held[:_SHOWN])}{more}: name one of these, or {train}"


def read_manifest(entry: "bentoml.Model") -> Manifest:
    """The manifest of an entry. Raises ModelError when it is missing or damaged, or a file is not what was saved."""
    path = Path(entry.path_of(manifests.FILE))
    if not path.is_file():
        raise ModelError(f"{entry.tag} has no {manifests.FILE}; it was not saved by `python -m training run`")
    checksums.check(entry)
    return manifests.parse(path.read_bytes(), str(entry.tag))


def open_served(entry: "bentoml.Model") -> Served:
    """Load an entry for scoring.

    Raises ModelError when a file was changed, or the scorer does not give the probes' stored scores bit for bit;
    SchemaError when the schema that it carries is not the one that it was made for, or this code does not know it.
    """
    manifest = read_manifest(entry)
    if not checksums.are_kept(entry):
        _say_unsealed(str(entry.tag))
    features = _features(entry, manifest)
    forest, probes = forest_file.load(_file(entry, manifest, FOREST_FILE))
    if forest.n_features != len(features.names):
        raise SchemaError(f"{entry.tag}: the scorer takes {forest.n_features} features, not {len(features.names)}")
    check_exact(forest, probes, features, str(entry.tag))
    return Served(str(entry.tag.version), forest, manifest, features)


def read_features(entry: "bentoml.Model") -> FeaturePath:
    """What an entry makes of transactions, without its forest. Raises what ``open_served`` raises."""
    return _features(entry, read_manifest(entry))


def _features(entry: "bentoml.Model", manifest: Manifest) -> FeaturePath:
    levels = encoding.read(_file(entry, manifest, encoding.FILE)) if encoding.FILE in manifest.files else encoding.EMPTY
    sums = summaries.read(_file(entry, manifest, summaries.FILE)) if summaries.FILE in manifest.files else None
    try:
        found = FeaturePath(manifest.schema_of(), levels, sums)
    except SchemaError as error:
        raise SchemaError(f"{entry.tag}: {error}; train it again") from None
    if manifest.schema_hash != found.schema.hash or manifest.features != found.names:
        raise SchemaError(f"{entry.tag}: made for another transaction schema than it says; train it again")
    return found


def _file(entry: "bentoml.Model", manifest: Manifest, name: str) -> Path:
    path = Path(entry.path_of(name))
    if not path.is_file() or manifests.sha256(path) != manifest.files.get(name):
        raise ModelError.changed(entry.tag, name)
    return path


@cache
def _say_unsealed(tag: str) -> None:
    """Once in a process, however often it is opened."""
    LOG.warning("%s was saved without the hashes of its files: an edited manifest would not show; train it again", tag)


def check_exact(forest: Forest, probes: Probes, features: FeaturePath, name: str) -> None:
    """Raise ModelError unless the scorer gives the stored scores of the probe rows bit for bit."""
    if probes.rows.shape[1] != features.width:
        raise ModelError.not_sound(name, f"probe rows of {probes.rows.shape[1]} columns do not fit the schema")
    differing = int((forest.score(features.transform(probes.rows)) != probes.scores).sum())
    if differing or not np.isfinite(probes.scores).all() or not len(probes.scores):
        raise ModelError(
            f"{name}: the scorer is not exact: {differing} of {len(probes.scores)} probe rows differ from scikit-learn"
        )
