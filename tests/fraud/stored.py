"""Saving a model whose manifest says what a test gives."""

from fraud.features import of_default
from fraud.manifest import Manifest
from fraud.saving import entry


def save(model, scorer, probes, facts, *, features=None, labels=None, row_hashes=None, keep=lambda _: None):
    """The manifest of the new entry: ``facts``, with its version and files."""

    def describe(version, files):
        return Manifest(model_version=version, files=files, **facts)

    return entry.save(model, scorer, features or of_default(), probes, describe, labels or {}, row_hashes, keep)
