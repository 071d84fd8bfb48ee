"""What the store is called in Redis: a few bytes, for there are millions. All stand in one database of a server."""

from hashlib import blake2b

from fraud.history.layout import Layout

FACTS = b"fraud:history"
"""What the store says of itself, JSON."""
LAYOUTS = b"fraud:history:layouts"
"""A set of the fingerprints of all layouts that have states here."""
LABELS = b"fraud:history:labels"
"""Seconds since 1970 until which labels were applied."""
LEADER = b"fraud:history:leader"
"""Who does for all what one is to do."""


def state_name(layout: Layout, key: bytes) -> bytes:
    """Of the state of a key, 16 bytes, of one layout."""
    return of_layout(layout.fingerprint) + key


def of_layout(fingerprint: str) -> bytes:
    """How the names of a layout's states begin."""
    return b"fh:" + bytes.fromhex(fingerprint) + b":"


def id_name(hashed: bytes) -> bytes:
    """Of what a transaction got, by the hash of its id, 16 bytes."""
    return b"fi:" + hashed


def label_name(layout: Layout, transaction_id: str) -> bytes:
    """Of the label of a transaction, which a layout counted: for all models that have it."""
    hashed = blake2b(transaction_id.encode(), digest_size=16).digest()
    return b"fl:" + bytes.fromhex(layout.fingerprint) + hashed
