"""Which registry and which model are meant: ``FRAUD_S3_URI``, and a name as a user writes it.

A model is named by its version, by its tag ``fraud_detector:VERSION``, as ``latest``, the newest in the local store, or
as ``champion``, which the registry knows; without one it is the champion last seen. Where nobody names one, it is what
``FRAUD_MODEL`` names, else the one chosen with ``training use``, else the newest.
"""

from dataclasses import dataclass
from typing import Literal

from fraud import store
from fraud.choice.local import LATEST, choose, remembered_champion
from fraud.errors import ModelError, RegistryError
from fraud.remote.registry import Registry
from fraud.settings import MODEL_NAME, Settings, not_set

CHAMPION = "champion"


@dataclass(frozen=True)
class Resolved:
    """A version, and who said that it is the one: the user, the local store, the registry, or our memory of it."""

    version: str
    source: Literal["user", "store", "registry", "memory"]

    @property
    def tag(self) -> str:
        """Its name in the model store."""
        return f"{MODEL_NAME}:{self.version}"


def registry(settings: Settings | None = None) -> Registry:
    """The registry at ``FRAUD_S3_URI``. Raises SettingsError when that is not set."""
    configured = registry_if_set(settings)
    if configured is None:
        raise not_set("FRAUD_S3_URI")
    return configured


def registry_if_set(settings: Settings | None = None) -> Registry | None:
    """The registry at ``FRAUD_S3_URI``, by default of the environment; None when that is not set."""
    uri = (settings or Settings.from_env()).s3_uri
    return None if uri is None else Registry(uri.rstrip("/"))


def resolve(name: str | None, remote: Registry | None = None, *, pull: bool = False) -> Resolved:
    """Which version ``name`` is; where it is None, the one that is meant then.

    With ``pull`` it is brought from ``remote`` unless the local store has it. That a version exists is not checked
    otherwise. Raises ModelError for the tag of something else, for ``latest`` of an empty store, for a choice that is
    gone, and for ``champion`` when neither a registry nor our memory knows one; RegistryError when there is none yet,
    or S3 fails.
    """
    name = name or Settings.from_env().model
    version = choose(None).version if name is None else bare_name(name)
    if version == CHAMPION:
        model = _champion(remote)
    elif version == LATEST:
        model = Resolved(str(store.get(f"{MODEL_NAME}:{LATEST}").tag.version), "store")
    else:
        model = Resolved(version, "user")
    if pull and remote and not _is_local(model.tag):
        remote.pull(model.version)
    return model


def bare_name(name: str) -> str:
    """``champion``, ``latest`` or a version: a name without the model's. Raises ModelError for another model's tag."""
    version = name.removeprefix(f"{MODEL_NAME}:")
    if ":" in version:
        raise ModelError(f"{name}: not a model tag; expected {MODEL_NAME}:VERSION")
    return LATEST if version == MODEL_NAME else version  # as BentoML reads a tag without a version


def _champion(remote: Registry | None) -> Resolved:
    if remote is None:
        version = remembered_champion()
        if version is None:
            raise ModelError("no champion is known here: set FRAUD_S3_URI, or name a version or `latest`")
        return Resolved(version, "memory")
    pointer = remote.pointer.read()
    if pointer is None:
        raise RegistryError.no_champion(remote.uri)
    return Resolved(pointer[0].model_version, "registry")


def _is_local(tag: str) -> bool:
    try:
        store.get(tag)
    except ModelError:
        return False
    return True
