"""Whether a challenger's keys are hashed as the champion's are: with another secret each card would be a new one."""

from fraud.errors import ModelError
from fraud.inputs.keys import KeyHasher
from fraud.manifest import Manifest
from fraud.schema import Schema


def check(champion: Manifest, schema: Schema, hasher: KeyHasher | None) -> None:
    """Raise ModelError where the champion's secret of keys is known, and is not the one at hand.

    Of a ``schema`` without keys nothing is asked, nor of a champion that was made without a secret.
    """
    theirs, ours = champion.key_fingerprint, hasher.fingerprint if hasher else None
    if theirs is None or theirs == ours or not schema.of_kind("key"):
        return
    at_hand = f"FRAUD_KEY_SECRET is the one of {ours}" if ours else "FRAUD_KEY_SECRET is not set"
    raise ModelError(
        f"the champion {champion.model_version} was trained with the key secret of fingerprint {theirs}, and "
        f"{at_hand}: set the champion's, or say --allow-key-change, and each key is a new one from then on"
    )
