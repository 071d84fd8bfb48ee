"""What the URL of a store says: in files of this machine, or in Redis."""

from urllib.parse import urlsplit

REMOTE = ("redis://", "rediss://", "unix://")


def is_remote(url: str) -> bool:
    """Whether it is that of a store in Redis."""
    return url.startswith(REMOTE)


def shown(url: str) -> str:
    """Without user and password, and without what TLS needs, for messages."""
    parts = urlsplit(url)
    database = f"?{parts.query}" if parts.scheme == "unix" and parts.query else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{database}"
