"""How to reach a store in Redis by its URL, which may hold a password, and what it means when that fails."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from fraud.errors import FullHistoryError, HistoryError, RefusedHistoryError, one_line
from fraud.history.address import shown

_OF_PIPELINE = re.compile(r"Command # \d+ \(.*\) of pipeline caused error: \(?['\"]?(.*?)['\"]?,?\)?", re.DOTALL)
_FINAL = re.compile(r"WRONGTYPE |user_script:\d+: (?!Script killed)")
"""How an error begins that would be the same each time: something else stands under a name, a script cannot."""
_USER = re.compile(r"\bUser \S+ has")
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def options(seconds: float) -> dict[str, Any]:
    """Of a client that waits so long for an answer, and tries once: whoever calls knows what to do instead."""
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds, "client_name": "fraud-history", "protocol": 2}


def connect(url: str, seconds: float) -> Any:  # noqa: ANN401 - its types say less than they mean
    """A client of the ``redis`` library, which connects when it is first asked."""
    return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 1), **options(seconds))


@contextmanager
def worded(url: str) -> Iterator[None]:
    """Errors of Redis as a HistoryError that names the store; FullHistoryError where it has no memory left, and
    RefusedHistoryError where it would say the same each time."""
    try:
        yield
    except redis.exceptions.OutOfMemoryError as error:
        raise FullHistoryError(
            f"{shown(url)}: Redis has no memory left for histories ({_alone(error)}): raise its maxmemory"
        ) from None
    except (RedisError, OSError, UnicodeError) as error:  # the last: of names of hosts
        is_final = type(error) is redis.exceptions.ResponseError and bool(_FINAL.match(_alone(error)))
        kind = RefusedHistoryError if is_final else HistoryError
        raise kind(f"{shown(url)}: {_said(url, error)}") from None


def _alone(error: Exception) -> str:
    """What Redis said, without the command: it holds names of keys, and whatever bytes these are."""
    said = one_line(error)
    found = _OF_PIPELINE.fullmatch(said)
    return found[1] if found else said


def _said(url: str, error: Exception) -> str:
    """What the library said, and what it does not say: which file it could not read, and what to do about a CA."""
    said = _USER.sub("its user has", _alone(error)).removesuffix(".")
    for name, value in parse_qsl(urlsplit(url).query):
        try:
            if name in _FILES:
                Path(value).open("rb").close()
        except OSError as unreadable:
            return f"{name}={value} in its URL: cannot be read ({unreadable.strerror})"
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return f"{said}: name the file of the CA that signed it, ?ssl_ca_certs=FILE at the end of its URL"
    return said
