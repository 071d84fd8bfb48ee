"""Model store <-> S3: publish, list, pull, promote.

Below ``FRAUD_S3_URI``, ``models/<version>/`` holds ``model.bentomodel``, the hashes of the rows it was fitted on, and
``manifest.json``, written last, so that a version without one is not there; later ``verdict.json``, the gate's word,
and ``history-<sha256>.parquet``, the states of keys, which the manifest then names.
Who serves is ``fraud/remote/champion.py``.
"""

import json
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from fraud import manifest as manifests
from fraud import store
from fraud.errors import ConflictError, DamagedError, RegistryError
from fraud.home import history_path
from fraud.manifest import Manifest, StoredDocument
from fraud.remote import archive as archives
from fraud.remote import published_states, s3
from fraud.remote.champion import Champion, Pointer, VerdictWord, parse_document
from fraud.remote.published_states import Published
from fraud.saving.whole import whole
from fraud.settings import MODEL_NAME

ARCHIVE = "model.bentomodel"
ROWS = "rows.npy"
VERDICT = "verdict.json"
BY_HAND = "promoted by hand"

LOG = logging.getLogger(__name__)


class Ruling(StoredDocument):
    """``verdict.json``: what the gate said; the reasons are for people."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=True)

    passed: bool


@dataclass(frozen=True)
class Registry:
    """The models below one ``s3://bucket/prefix``. Every method raises RegistryError when S3 fails."""

    uri: str

    @property
    def pointer(self) -> Pointer:
        """Who serves."""
        return Pointer(self.uri)

    def publish(self, version: str) -> Published:
        """Upload a version of the local store, and the states that it goes on from. Runs again safely: the same version
        with other content is refused, and states that are published stay (``history build`` puts others there).
        """
        entry = store.get(f"{MODEL_NAME}:{version}")
        manifest = store.read_manifest(entry)
        existing = self.published(version)
        if existing is not None:
            if existing.manifest != manifest:
                raise RegistryError(f"{self._model(version)}: holds another model of the same version")
            if existing.history_sha256 is None and history_path(version).is_file():
                return published_states.put(self.folder(version), existing, history_path(version))
            return existing
        rows = store.rows_path(str(entry.tag.version))
        if not rows.is_file():
            raise RegistryError(f"{rows}: the hashes of the training rows are missing; train the model again")
        with tempfile.TemporaryDirectory(prefix="fraud-publish-") as folder:
            archive = archives.pack(version, Path(folder) / ARCHIVE)
            published = Published(
                manifest=manifest,
                archive_sha256=manifests.sha256(archive),
                archive_bytes=archive.stat().st_size,
                rows_sha256=manifests.sha256(rows),
                history_sha256=published_states.upload(self.folder(version), history_path(version)),
            )
            s3.upload(archive, self._model(version, ARCHIVE))
            s3.upload(rows, self._model(version, ROWS))
        s3.put(self._model(version, manifests.FILE), published.model_dump(mode="json"))
        return published

    def published(self, version: str) -> Published | None:
        """What S3 says of a version, or None if it is not (or only half) there."""
        uri = self._model(version, manifests.FILE)
        stored = s3.get(uri)
        return None if stored is None else parse_document(Published, stored[0], uri)

    def versions(self) -> list[Published]:
        """Every published model, newest first."""
        found = []
        uris = [self._model(version, manifests.FILE) for version in s3.folders(s3.join(self.uri, "models"))]
        for uri, stored in zip(uris, s3.get_all(uris), strict=True):
            if stored is None:
                continue
            try:
                found.append(parse_document(Published, stored[0], uri))
            except DamagedError as error:
                LOG.warning("left out: %s", error)
        return sorted(found, key=lambda published: published.manifest.created_at, reverse=True)

    def pull(self, version: str) -> Manifest:
        """Bring a published version into the local store, after every file was verified. Idempotent.

        Raises ModelError where the system does not let us write; nothing of the version is left then.
        """
        published = self._existing(version)
        with whole(version):
            self._bring(published)
        return published.manifest

    def _bring(self, published: Published) -> None:
        version = published.manifest.model_version
        if version in store.versions():
            _same_as_local(published)
            self._keep_rows(published)
            published_states.keep(self.folder(version), published)
            return
        with tempfile.TemporaryDirectory(prefix="fraud-pull-") as folder:
            archive = Path(folder) / ARCHIVE
            s3.download(self._model(version, ARCHIVE), archive, sha256=published.archive_sha256)
            archives.verify(archive, published.manifest)
            self._keep_rows(published)  # before the entry is there: never one without them
            published_states.keep(self.folder(version), published)
            archives.unpack(archive, published.manifest)

    def _keep_rows(self, published: Published) -> None:
        """Have the hashes of the training rows beside the local model, for publishing it elsewhere."""
        version = published.manifest.model_version
        path = store.rows_path(version)
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download(self._model(version, ROWS), path, sha256=published.rows_sha256)

    def row_hashes(self, version: str) -> NDArray[np.uint64]:
        """Sorted hashes of the rows that a published version was fitted on."""
        published = self._existing(version)
        with tempfile.TemporaryDirectory(prefix="fraud-rows-") as folder:
            path = Path(folder) / ROWS
            s3.download(self._model(version, ROWS), path, sha256=published.rows_sha256)
            hashes: NDArray[np.uint64] = np.load(path)
        return hashes

    def verdict(self, version: str) -> dict[str, Any] | None:
        """What the gate said of a version; None when it was never gated. Raises DamagedError."""
        uri = self._model(version, VERDICT)
        stored = s3.get(uri)
        return None if stored is None else parse_document(Ruling, stored[0], uri).model_dump()

    def record_verdict(self, version: str, verdict: dict[str, Any]) -> None:
        """Keep what the gate said. A version is gated once; ConflictError when something else was said before."""
        try:
            s3.put(self._model(version, VERDICT), verdict, new=True)
        except ConflictError:
            if self.verdict(version) != json.loads(json.dumps(verdict)):  # else our own, tried again
                raise

    def crown_first(self, version: str, reason: str = "first published model") -> Champion | None:
        """Make ``version`` champion if there is none yet; None when there is one. The gate may not have
        refused it.

        Raises UnsupportedError where the server does not hold conditional writes.
        """
        if self.pointer.read() is not None:
            return None
        verdict = self._check_promotable(version, override=False)
        try:
            return self.pointer.crown(version, None, reason, verdict)
        except ConflictError:
            return None

    def promote(
        self, version: str, reason: str | None, *, seen: tuple[Champion, str] | None = None, override: bool = False
    ) -> Champion:
        """Make a published version the champion.

        ``seen`` is the champion that the decision was based on; the one of now by default. Raises ConflictError when
        somebody else changed the champion since: look again, then decide again. A version that the gate refused takes
        ``override``. The champion itself is left as it is; RegistryError when a reason is given for it.
        """
        verdict = self._check_promotable(version, override)
        current = seen or self.pointer.read()
        if current is not None and current[0].model_version == version:
            if reason is not None:
                raise RegistryError.champion_already(current[0].model_version, current[0].at, current[0].reason)
            return current[0]
        return self.pointer.crown(version, current, reason or BY_HAND, verdict)

    def rollback(self, reason: str, *, override: bool = False) -> Champion:
        """Make the champion before this one champion again; done twice, the one before that.

        A version that was rolled back is not come back to. Raises RegistryError when there is no earlier champion.
        """
        current = self.pointer.read()
        earlier: list[str] = []
        for event in reversed(self.pointer.history()):
            if event.model_version in earlier:  # rolled back to, or promoted again: what came after it is undone
                del earlier[earlier.index(event.model_version) :]
            earlier.append(event.model_version)
        if current is None or len(earlier) < 2:
            raise RegistryError(f"{self.uri}: there is no earlier champion to go back to")
        verdict = self._check_promotable(earlier[-2], override)
        return self.pointer.crown(earlier[-2], current, reason, verdict)

    def word(self, version: str) -> VerdictWord:
        """The gate's verdict on a version in one word."""
        verdict = self.verdict(version)
        return "none" if verdict is None else "passed" if verdict["passed"] else "refused"

    def refused(self, version: str) -> bool:
        """Whether the gate refused a version."""
        return self.word(version) == "refused"

    def _check_promotable(self, version: str, override: bool) -> VerdictWord:
        self._existing(version)
        verdict = self.word(version)
        if verdict == "refused" and not override:
            raise RegistryError.gate_refused(self._model(version), "--override promotes it anyway")
        return verdict

    def _existing(self, version: str) -> Published:
        published = self.published(version)
        if published is None:
            raise RegistryError(f"{self._model(version)}: no such version is published; publish it first")
        return published

    def folder(self, version: str) -> str:
        """The address of all that is published of a version."""
        return self._model(version)

    def _model(self, version: str, *parts: str) -> str:
        return s3.join(self.uri, "models", version, *parts)


def _same_as_local(published: Published) -> None:
    tag = f"{MODEL_NAME}:{published.manifest.model_version}"
    if store.read_manifest(store.get(tag)) != published.manifest:
        raise RegistryError(f"{tag}: the local store holds another model of this version; delete it and pull again")
