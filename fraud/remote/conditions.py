"""Whether an S3 server holds conditional writes, proved by an object: many servers take the headers and ignore them.

A promotion is a compare-and-swap, so where they do not hold two promotions at once could both win. Writers race each
other here, for a server that checks the condition too early lets several of them through, too: SeaweedFS did until
2026 (https://github.com/seaweedfs/seaweedfs/pull/8801).
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from fraud.errors import ConflictError, RegistryError, UnsupportedError
from fraud.remote import s3

PROBE = ".conditional-writes-"
"""Begins the name of the object that is raced for; it is deleted afterwards."""
WRITERS = 4

LOG = logging.getLogger(__name__)


def require(uri: str) -> None:
    """Pass where conditional writes hold below ``uri``. Raises UnsupportedError where they do not."""
    if problem := find_problem(uri):
        raise UnsupportedError(
            f"{uri}: conditional writes do not hold on this server ({problem}): two promotions at once could both win, "
            "so nobody is promoted here; publish, pull VERSION and data work; docs/s3.md tells which servers have them"
        )


def find_problem(uri: str, remove: Callable[[str], None] | None = None) -> str | None:
    """None where of several conditional writes at once one wins, else what happened. Raises RegistryError.

    ``remove`` deletes the objects that are raced for.
    """
    for _ in range(2):  # an answer that is lost is asked for again, and meets its own write: nobody wins
        header, won = _winners(uri, remove or _delete)
        if isinstance(won, str):
            return won
        if won:
            break
    return None if won == 1 else f"{header}: {won} of {WRITERS} writers at once won, expected 1"


def _winners(uri: str, remove: Callable[[str], None]) -> tuple[str, int | str]:
    """How many won, by the first header by which it was not one, or by the last; or what the server lacks."""
    probe = s3.join(uri, f"{PROBE}{uuid4().hex[:12]}")
    try:
        if (won := _race(probe, new=True)) != 1:
            return "If-None-Match", won
        return "If-Match", _race(probe, replacing=_etag(probe))
    except UnsupportedError as error:
        return "", str(error)
    finally:
        remove(probe)


def _race(probe: str, **condition: Any) -> int:  # noqa: ANN401 - as s3.put takes it
    with ThreadPoolExecutor(WRITERS) as pool:
        return sum(pool.map(lambda _: _wins(probe, condition), range(WRITERS)))


def _wins(probe: str, condition: dict[str, Any]) -> bool:
    """Whether a write of its own bytes, and so of an ETag of its own, was let through."""
    try:
        s3.put(probe, {"writer": uuid4().hex}, **condition)
    except ConflictError:
        return False
    return True


def _etag(probe: str) -> str:
    stored = s3.get(probe)
    if stored is None:
        raise RegistryError(f"{probe}: was written and cannot be read back")
    return stored[1]


def _delete(probe: str) -> None:
    try:
        s3.delete([probe])
    except RegistryError as error:
        LOG.warning("left behind: %s", error)
