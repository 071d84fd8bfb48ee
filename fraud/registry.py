"""Model store <-> S3: publish, list, pull, and the champion pointer.

Below ``FRAUD_S3_URI``: ``models/<version>/model.bentomodel`` and its ``manifest.json``, written last, so that a
version without one is not there; ``champion.json``, the only object ever replaced, by compare-and-swap; and one
immutable object per change of champion under ``history/``.
"""

import hashlib
import tarfile
import tempfile
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from fraud import manifest as manifests
from fraud import s3, store
from fraud.errors import ConflictError, RegistryError
from fraud.manifest import Manifest
from fraud.settings import MODEL_NAME

ARCHIVE = "model.bentomodel"
CHAMPION = "champion.json"

Document = TypeVar("Document", bound=BaseModel)


class Published(BaseModel):
    """``manifest.json`` as it stands in S3: the model's own manifest and the archive it describes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: Manifest
    archive_sha256: str
    archive_bytes: int


class Champion(BaseModel):
    """``champion.json``: who serves since when and why. ``generation`` grows, so that an ETag never comes back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_version: str
    generation: int
    event: str
    at: str
    reason: str
    previous_version: str | None
    previous_event: str | None


@dataclass(frozen=True)
class Registry:
    """The models below one ``s3://bucket/prefix``. Every method raises RegistryError when S3 fails."""

    uri: str

    def publish(self, version: str) -> Published:
        """Upload a version of the local store. Runs again safely; the same version with other content is refused."""
        entry = store.get(f"{MODEL_NAME}:{version}")
        manifest = store.read_manifest(entry)
        standing = self.published(version)
        if standing is not None:
            if standing.manifest != manifest:
                raise RegistryError(f"{self._model(version)}: holds another model of the same version")
            return standing
        with tempfile.TemporaryDirectory(prefix="fraud-publish-") as folder:
            archive = Path(_export(version, Path(folder) / ARCHIVE))
            published = Published(
                manifest=manifest,
                archive_sha256=manifests.sha256(archive),
                archive_bytes=archive.stat().st_size,
            )
            s3.upload(archive, self._model(version, ARCHIVE))
        s3.put(self._model(version, manifests.FILE), published.model_dump(mode="json"))
        return published

    def published(self, version: str) -> Published | None:
        """What S3 says of a version, or None if it is not (or only half) there."""
        uri = self._model(version, manifests.FILE)
        found = s3.get(uri)
        return None if found is None else _read(Published, found[0], uri)

    def versions(self) -> list[Published]:
        """Every published model, newest first."""
        found = [self.published(version) for version in s3.folders(s3.join(self.uri, "models"))]
        whole = [published for published in found if published is not None]
        return sorted(whole, key=lambda published: published.manifest.created_at, reverse=True)

    def pull(self, version: str) -> Manifest:
        """Bring a published version into the local store, after every SHA-256 was verified. Idempotent."""
        published = self.published(version)
        if published is None:
            raise RegistryError(f"{self._model(version)}: no such version is published")
        if version in store.versions():
            _same_as_local(published)
            return published.manifest
        with tempfile.TemporaryDirectory(prefix="fraud-pull-") as folder:
            archive = Path(folder) / ARCHIVE
            s3.download(self._model(version, ARCHIVE), archive, sha256=published.archive_sha256)
            _verify(archive, published)
            _import(archive)
        return published.manifest

    def champion(self) -> tuple[Champion, str] | None:
        """The champion pointer and its ETag, or None before the first."""
        uri = s3.join(self.uri, CHAMPION)
        found = s3.get(uri)
        return None if found is None else (_read(Champion, found[0], uri), found[1])

    def crown_first(self, version: str) -> Champion | None:
        """Make ``version`` champion if there is none yet; None when there is one."""
        if self.champion() is not None:
            return None
        try:
            return self._crown(version, None, "first published model")
        except ConflictError:
            return None

    def promote(self, version: str, reason: str) -> Champion:
        """Make a published version the champion.

        Raises ConflictError when somebody else changed the champion meanwhile: look again, then decide again.
        """
        if self.published(version) is None:
            raise RegistryError(f"{self._model(version)}: no such version is published; publish it first")
        standing = self.champion()
        if standing is not None and standing[0].model_version == version:
            return standing[0]
        return self._crown(version, standing, reason)

    def _crown(self, version: str, standing: tuple[Champion, str] | None, reason: str) -> Champion:
        before = standing[0] if standing else None
        champion = Champion(
            model_version=version,
            generation=before.generation + 1 if before else 1,
            event=uuid.uuid4().hex[:12],
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            reason=reason,
            previous_version=before.model_version if before else None,
            previous_event=before.event if before else None,
        )
        # The event first, the pointer last. An event the pointer's chain does not reach was a lost race.
        s3.put(self._event(champion), champion.model_dump(), new=True)
        s3.put(
            s3.join(self.uri, CHAMPION),
            champion.model_dump(),
            replacing=standing[1] if standing else None,
            new=standing is None,
        )
        return champion

    def _event(self, champion: Champion) -> str:
        return s3.join(self.uri, "history", f"{champion.generation:06d}-{champion.event}.json")

    def _model(self, version: str, *parts: str) -> str:
        return s3.join(self.uri, "models", version, *parts)


def _export(version: str, path: Path) -> str:
    import bentoml

    return bentoml.models.export_model(f"{MODEL_NAME}:{version}", str(path))


def _import(archive: Path) -> None:
    import bentoml

    bentoml.models.import_model(str(archive))


def _read(kind: type[Document], body: bytes, uri: str) -> Document:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise RegistryError(f"{uri}: damaged ({error.errors()[0]['msg']})") from None


def _verify(archive: Path, published: Published) -> None:
    """Raise RegistryError unless every file in the archive is what the manifest says."""
    name = f"{MODEL_NAME}:{published.manifest.model_version}"
    try:
        hashes = _member_hashes(archive)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise RegistryError(f"{name}: the archive cannot be read ({error}); nothing was imported") from None
    wrong = [file for file, expected in published.manifest.files.items() if hashes.get(file) != expected]
    if wrong:
        raise RegistryError(f"{name}: {', '.join(wrong)} in the archive is not what was saved; nothing was imported")


def _member_hashes(archive: Path) -> dict[str, str]:
    with tarfile.open(archive) as tar:
        opened = ((member.name.removeprefix("./"), tar.extractfile(member)) for member in tar)
        return {name: hashlib.sha256(file.read()).hexdigest() for name, file in opened if file}


def _same_as_local(published: Published) -> None:
    tag = f"{MODEL_NAME}:{published.manifest.model_version}"
    if store.read_manifest(store.get(tag)) != published.manifest:
        raise RegistryError(f"{tag}: the local store holds another model of this version; delete it and pull again")
