"""How to reach a store in Redis by its URL, which may hold a password, and what it means when that fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.exceptions import RedisError

from fraud.errors import FullHistoryError, HistoryError, one_line
from fraud.history.address import shown


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
