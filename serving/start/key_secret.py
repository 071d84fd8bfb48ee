"""Whether the secret of keys is the one that the served model was trained with, said once at the start."""

from fraud.errors import SET_THAT_ONE, DataError, SettingsError
from fraud.manifest import Manifest
from fraud.settings import Settings


def state(read: Settings, manifest: Manifest) -> str:
    """What becomes of keys, in words for the line of the start; nothing where the model's schema has none.

    Raises SettingsError where the model was trained with a secret, and the one that is set is another, or none is: each
    card would be a new one.
    """
    schema = manifest.schema_of()
    if not schema.of_kind("key"):
        return ""
    theirs, hasher = manifest.key_fingerprint, read.key_hasher
    if hasher is None and schema.history and theirs is None:
        raise DataError.no_secret(schema.name)
    if hasher is None and theirs is None:
        return "keys not kept: FRAUD_KEY_SECRET is not set"
    if hasher is None:
        raise SettingsError(
            f"FRAUD_KEY_SECRET is not set, and the model {manifest.model_version} was trained with the one of "
            f"fingerprint {theirs}: {SET_THAT_ONE}"
        )
    if theirs not in (None, hasher.fingerprint):
        raise SettingsError(
            f"FRAUD_KEY_SECRET is the one of fingerprint {hasher.fingerprint}, and the model {manifest.model_version} "
            f"was trained with the one of {theirs}: {SET_THAT_ONE}"
        )
    return f"keys hashed by {hasher.fingerprint}"
