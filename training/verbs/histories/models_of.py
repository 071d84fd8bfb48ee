"""The model that a verb is told of, and the secret that its keys were hashed with."""

from typing import TYPE_CHECKING

from fraud.errors import DataError, SettingsError
from fraud.remote.resolve import registry_if_set, resolve
from training.verbs import options

if TYPE_CHECKING:
    from fraud import store
    from fraud.inputs.keys import KeyHasher


def served(model: str | None) -> "store.Served":
    """That of a name, pulled where it is published. Raises ModelError."""
    from fraud import store

    return store.open_served(store.get(resolve(model, registry_if_set(), pull=True).tag))


def hasher(served: "store.Served") -> "KeyHasher":
    """Of the secret that the model's keys were hashed with. Raises DataError, SettingsError."""
    from fraud.tables import keys

    schema = served.features.schema
    if not schema.history:
        raise DataError(f"{served.version}: its schema {schema.name} declares no [[history]]")
    found = options.hasher()
    if found is None:
        raise SettingsError.no_secret(schema.name, served.manifest.key_fingerprint)
    keys.check_secret(served.version, served.manifest.key_fingerprint, found)
    return found
