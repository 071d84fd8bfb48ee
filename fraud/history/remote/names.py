"""What the store is called in Redis: a few bytes, for there are millions. All stand in one database of a server."""

from collections.abc import Iterable
from hashlib import blake2b

from fraud.history.layout import Layout

FACTS = b"fraud:history"
"""What the store says of itself, JSON."""
LAYOUTS = b"fraud:history:layouts"
"""A set of the fingerprints of all layouts that have states here."""


def state_name(layout: Layout, key: bytes) -> bytes:
    """Of the state of a key, 16 bytes, of one layout."""
    return of_layout(layout.fingerprint) + key


def of_layout(fingerprint: str) -> bytes:
    """How the names of a layout's states begin."""
    return b"fh:" + bytes.fromhex(fingerprint) + b":"


def labels_of(layout: Layout) -> bytes:
    """Of how far a layout has its labels."""
    return b"fraud:history:labels:" + layout.fingerprint.encode()


def leader_of(fingerprints: Iterable[str]) -> bytes:
    """Of who applies labels to all layouts of these fingerprints: versions that have others have another leader."""
    return b"fraud:history:leader:" + blake2b("".join(fingerprints).encode(), digest_size=8).hexdigest().encode()


def id_name(hashed: bytes) -> bytes:
    """Of what a transaction got, by the hash of its id, 16 bytes."""
    return b"fi:" + hashed


def label_name(layout: Layout, transaction_id: str) -> bytes:
    """Of the label of a transaction, which a layout counted: for all models that have it."""
    hashed = blake2b(transaction_id.encode(), digest_size=16).digest()
    return b"fl:" + bytes.fromhex(layout.fingerprint) + hashed
