"""Of S3: whether the champion can be read, its history is whole, and each published version has all that it needs."""

from fraud.errors import RegistryError
from fraud.manifest import FILE
from fraud.remote import published_states, s3
from fraud.remote.registry import ARCHIVE, ROWS, VERDICT, Registry
from training.doctor.part import Part, noting
from training.verbs import PROGRAM

_WAYS_BACK = "docs/recovery.md has the ways back"


def look(part: Part, remote: Registry) -> None:
    """Ask for sizes and small documents only; the fact ``champion`` is for who compares."""
    part.facts |= {"uri": remote.uri, "champion": None, "versions": []}
    models = s3.join(remote.uri, "models", "")
    sizes = s3.sizes(models)
    versions = sorted({uri.removeprefix(models).partition("/")[0] for uri in sizes})
    part.facts["versions"] = versions
    for version in versions:
        with noting(part):
            _look_at(part, remote, version, sizes)
    with noting(part):
        _look_at_champion(part, remote)


def _look_at(part: Part, remote: Registry, version: str, sizes: dict[str, int]) -> None:
    uri = s3.join(remote.uri, "models", version)
    if f"{uri}/{FILE}" not in sizes:
        part.find(
            f"{uri}: is half published, for it has no {FILE}, and nobody sees it; unless somebody publishes it right "
            f"now, `{PROGRAM} publish {version}` again where the model is, or delete what is there"
        )
        return
    published = remote.published(version)
    if published is None:  # deleted meanwhile
        return
    part.manifests[version] = published.manifest
    states = [published_states.name(published.history_sha256)] if published.history_sha256 else []
    for name in (ARCHIVE, ROWS, *states):
        if f"{uri}/{name}" not in sizes:
            part.find(f"{uri}/{name}: is missing, so this version cannot be pulled; {_WAYS_BACK}")
    there, expected = sizes.get(f"{uri}/{ARCHIVE}", published.archive_bytes), published.archive_bytes
    if there != expected:
        part.find(f"{uri}/{ARCHIVE}: has {there} bytes, and {expected} were published; {_WAYS_BACK}")
    if f"{uri}/{VERDICT}" in sizes:
        remote.verdict(version)


def _look_at_champion(part: Part, remote: Registry) -> None:
    current = remote.pointer.read()
    if current is None:
        if part.facts["versions"]:
            raise RegistryError.no_champion(remote.uri)
        return
    champion = part.facts["champion"] = current[0].model_version
    if champion not in part.manifests:
        part.find(
            f"the champion {champion} is not published, or not whole: `{PROGRAM} rollback` or promote another one; "
            f"{_WAYS_BACK}"
        )
    part.facts["history"] = len(remote.pointer.history())
