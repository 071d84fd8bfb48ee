"""Where a store in Redis is, and how to get there: by ``FRAUD_HISTORY_URL``, which may hold a password."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.exceptions import RedisError

from fraud.errors import FullHistoryError, HistoryError, one_line

SCHEMES = ("redis://", "rediss://", "unix://")


def is_remote(url: str) -> bool:
    """Whether a URL of a store is one of Redis."""
    return url.startswith(SCHEMES)


def shown(url: str) -> str:
    """Without user and password, for messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def options(seconds: float) -> dict[str, Any]:
    """Of a client that waits so long for an answer, and tries once: whoever calls knows what to do instead."""
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds, "client_name": "fraud-history", "protocol": 2}


@contextmanager
def worded(url: str) -> Iterator[None]:
    """Errors of Redis as a HistoryError that names the store; FullHistoryError where it has no memory left."""
    try:
        yield
    except redis.exceptions.OutOfMemoryError as error:
        raise FullHistoryError(
            f"{shown(url)}: Redis has no memory left for histories ({one_line(error)}): raise its maxmemory"
        ) from None
    except (RedisError, OSError) as error:
        raise HistoryError(f"{shown(url)}: {one_line(error) or type(error).__name__}") from None
