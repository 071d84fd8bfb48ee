"""A model as one file: BentoML's archive. Every member is compared with what was published before an import."""

import hashlib
import lzma
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from fraud import checksums
from fraud import manifest as manifests
from fraud.errors import ModelError, RegistryError, one_line
from fraud.manifest import Manifest
from fraud.settings import MODEL_NAME

_READ_BYTES = 1 << 20
"""The most that is read into memory at once."""
_DOCUMENT_BYTES = 16 << 20
"""The most that the manifest or ``model.yaml``, which are read whole, may hold."""
_DOCUMENTS = (manifests.FILE, checksums.ENTRY_FILE)
_SHOWN = 80


class _Contents(NamedTuple):
    hashes: dict[str, str]
    """SHA-256 of each member, by name."""
    documents: dict[str, bytes]


def pack(version: str, path: Path) -> Path:
    """Write the archive of a version of the local store."""
    import bentoml

    return Path(bentoml.models.export_model(f"{MODEL_NAME}:{version}", str(path)))


def unpack(archive: Path, manifest: Manifest) -> None:
    """Bring a verified archive into the local store.

    Raises RegistryError when the store does not take it, OSError where the system does not let us write.
    """
    import bentoml
    from bentoml.exceptions import BentoMLException

    try:
        bentoml.models.import_model(str(archive))
    except (BentoMLException, ValueError) as error:
        raise _refused(manifest, f"the model store does not take it ({one_line(error)})") from None


def verify(archive: Path, manifest: Manifest) -> None:
    """Raise RegistryError unless the archive holds what the published ``manifest`` says, that manifest, and no more."""
    contents = _contents(archive, manifest)
    there = contents.hashes
    wrong = [name for name, expected in manifest.files.items() if there.get(name) != expected]
    if manifests.FILE not in there or not _is_manifest(contents.documents[manifests.FILE], manifest):
        wrong.append(manifests.FILE)
    sealed = {name: digest for name, digest in there.items() if name != checksums.ENTRY_FILE}
    if not wrong and not _is_entry_file(contents.documents.get(checksums.ENTRY_FILE), manifest, sealed):
        wrong.append(checksums.ENTRY_FILE)
    if wrong:
        raise _refused(manifest, f"{', '.join(wrong)} in the archive is not what was saved")


def _refused(manifest: Manifest, problem: str) -> RegistryError:
    return RegistryError(f"{MODEL_NAME}:{manifest.model_version}: {problem}; nothing was imported")


def _contents(archive: Path, manifest: Manifest) -> _Contents:
    """What is in the archive; read no further than to a member that has no place there."""
    known, contents = {*manifest.files, *_DOCUMENTS}, _Contents({}, {})
    try:
        with _Unpacked(archive) as unpacked, tarfile.open(fileobj=unpacked, mode="r:") as tar:
            for member in tar:
                if not (member.isdir() and member.name == "."):
                    _take(tar, member, known - contents.hashes.keys(), contents)
    except (tarfile.TarError, lzma.LZMAError, OSError, EOFError, ValueError) as error:
        raise _refused(manifest, f"the archive is not what our code writes ({one_line(error)})") from None
    return contents


class _Unpacked(lzma.LZMAFile):
    """The archive without its compression, in bounded memory: a header may ask for gigabytes."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _READ_BYTES:
            raise tarfile.ReadError("a header of it is too large")
        return super().read(size)


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, wanted: set[str], contents: _Contents) -> None:
    """Hash one member. Raises ReadError when it is not a plain file, of a name that is still ``wanted``."""
    name = member.name.removeprefix("./")
    file = tar.extractfile(member) if member.isfile() and not member.issparse() and name in wanted else None
    if file is None or (name in _DOCUMENTS and member.size > _DOCUMENT_BYTES):
        raise tarfile.ReadError(f"{member.name[:_SHOWN]!r} has no place in it")
    if name not in _DOCUMENTS:
        contents.hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        return
    parts = iter(lambda: file.read(_READ_BYTES), b"")
    contents.documents[name] = document = b"".join(parts)
    contents.hashes[name] = hashlib.sha256(document).hexdigest()


def _is_manifest(document: bytes, manifest: Manifest) -> bool:
    try:
        return manifests.parse(document, "") == manifest
    except ModelError:
        return False


def _is_entry_file(document: bytes | None, manifest: Manifest, sealed: dict[str, str]) -> bool:
    """Whether BentoML can read it, and finds this model and, where they are kept, the hashes of these files."""
    import bentoml

    if document is None:
        return False
    with tempfile.TemporaryDirectory(prefix="fraud-verify-") as folder:
        (Path(folder) / checksums.ENTRY_FILE).write_bytes(document)
        try:
            entry = bentoml.Model.from_path(folder)
        except Exception:  # noqa: BLE001 - whatever makes BentoML stumble over a file from elsewhere
            return False
    kept = entry.info.metadata.get(checksums.KEY, sealed)
    return (entry.tag.name, entry.tag.version) == (MODEL_NAME, manifest.model_version) and kept == sealed
