"""Which model of the local store is meant where nobody names one: the chosen one, else the newest.

The choice is a line in ``BENTOML_HOME``, made by ``python -m training use``. Every start and build asks here.
Beside it stands which model was the champion when S3 was last asked.
"""

from dataclasses import dataclass
from pathlib import Path

from fraud import home, store
from fraud.atomic import replacing
from fraud.errors import ModelError
from fraud.settings import MODEL_NAME

FILE = "fraud_chosen"
LATEST = "latest"
USE = "`python -m training use VERSION`"

_SHOWN = 5  # other versions that are named


@dataclass(frozen=True)
class Choice:
    """A version, and in words why it is this one."""

    version: str
    why: str

    @property
    def tag(self) -> str:
        """Its name in the model store."""
        return f"{MODEL_NAME}:{self.version}"


def choose(named: str | None) -> Choice:
    """The version of the tag ``named``, which ``FRAUD_MODEL`` names, whether it is there or not; else the chosen one.

    Where none was chosen it is the newest. Raises ModelError when the chosen one is gone: there is no falling back;
    and when the store is empty.
    """
    if named is not None:
        return Choice(named.removeprefix(f"{MODEL_NAME}:"), "which FRAUD_MODEL names")
    version = chosen()
    if version is None:
        return _newest()
    if version not in store.versions():
        raise ModelError(
            f"{MODEL_NAME}:{version} was chosen to be served and the model store does not have it; choose another with "
            f"{USE}, or `python -m training use --newest`"
        )
    return Choice(version, "chosen with `python -m training use`")


def chosen() -> str | None:
    """The version that was chosen, whether the store has it or not; None where none was."""
    path = _path()
    return path.read_text(errors="replace").strip() if path.is_file() else None


def use(version: str | None) -> None:
    """Choose a version of the store from now on; None goes back to the newest.

    Raises ModelError for one that is not there, or not sound.
    """
    if version is None:
        _path().unlink(missing_ok=True)
        return
    entry = store.get(f"{MODEL_NAME}:{version}")
    store.open_served(entry)
    _write(_path(), f"{entry.tag.version}\n")


def _write(path: Path, text: str) -> None:
    try:
        with replacing(path) as part:
            part.write_text(text)
    except OSError as error:
        raise ModelError.not_writable(path, error) from None


def _path() -> Path:
    return home.folder() / FILE


def _newest() -> Choice:
    version = str(store.get(f"{MODEL_NAME}:{LATEST}").tag.version)
    others = [one for one in store.versions() if one != version]
    if not others:
        return Choice(version, "the only local model")
    more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    return Choice(
        version,
        f"the newest of {len(others) + 1} local models (the others: {', '.join(others[:_SHOWN])}{more}); {USE} chooses",
    )


def remember_champion(version: str) -> None:
    """Note which local model is the champion, for when S3 cannot be asked. Raises ModelError."""
    if version in store.versions():
        _write(_champion_path(version), version)


def remembered_champion() -> str | None:
    """The champion last seen, if the store has it."""
    local = store.versions()
    path = _champion_path(local[0]) if local else None
    version = path.read_text() if path and path.is_file() else None
    return version if version in local else None


def _champion_path(version: str) -> Path:
    return Path(store.get(f"{MODEL_NAME}:{version}").path).parents[2] / "fraud_champion"
