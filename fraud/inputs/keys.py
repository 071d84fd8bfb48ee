"""Whose a transaction is, without saying who: keys (a card, a customer, a terminal) as hashes with a secret.

What is stored, logged and sent holds ``h1:`` and a hash. Card numbers are few enough to be tried one after another, so
a plain hash of one can be turned back; one with a secret cannot, by who does not have the secret. The hash is BLAKE2b
with a key (RFC 7693), the same on every machine.
"""

import hashlib
import re

from fraud.inputs.levels import same

PREFIX = "h1:"
"""Begins every hash, and says how it was made."""

_HASHED = re.compile(r"h1:[0-9a-f]{32}")
_FINGERPRINT = b"fingerprint"


def is_hashed(text: str) -> bool:
    """Whether a text is a hash already; white space around it is none of it."""
    return _HASHED.fullmatch(text.strip()) is not None


class KeyHasher:
    """Hashes keys with ``secret``, a text of any length.

    ``fingerprint``: 16 hexadecimal digits that tell one secret from another; enough to try guesses of a weak one.
    """

    def __init__(self, secret: str) -> None:
        key = hashlib.sha256(secret.encode()).digest()
        self.fingerprint = hashlib.blake2b(key=key, digest_size=8, person=_FINGERPRINT).hexdigest()
        self._begun = hashlib.blake2b(key=key, digest_size=16)

    def __call__(self, text: str) -> str:
        """``h1:`` and 32 hexadecimal digits; a text that is such a hash already is left as it is.

        White space around a key is none of it, and a whole number is one key in whichever format it stands
        (``fraud.inputs.levels.same``).
        """
        text = same(text.strip())
        if text.startswith(PREFIX) and _HASHED.fullmatch(text):
            return text
        begun = self._begun.copy()
        begun.update(text.encode("utf-8", "surrogatepass"))
        return PREFIX + begun.hexdigest()
