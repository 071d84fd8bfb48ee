"""A Dask cluster that somebody runs: fitting and bulk scoring reach it through its scheduler's address."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from fraud.errors import FraudError

CONNECT_SECONDS = 10
_ADDRESS = re.compile(r"[a-z]+://[^/\s]+:\d+")


@contextmanager
def connected(scheduler: str | None) -> Iterator[Any]:
    """A ``distributed.Client`` of the cluster whose scheduler is at ``scheduler``, ``tcp://host:8786``.

    Raises FraudError when it cannot be reached, or has no workers, within ``CONNECT_SECONDS`` each, and when it is lost
    inside. When all workers go later, Dask waits for new ones.
    """
    if not _ADDRESS.fullmatch(scheduler or ""):
        raise FraudError(
            f"expected --scheduler tcp://host:port, the address that `dask scheduler` prints, got {scheduler!r}"
        )
    try:
        distributed: Any = import_module("distributed")  # ships no types, and is not installed everywhere
    except ImportError:
        raise FraudError(
            "a Dask cluster needs the package `distributed` here and on the workers: pip install distributed"
        ) from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it would say is in the errors below
    client = _connect(distributed.Client, str(scheduler))
    lost = (distributed.KilledWorker, distributed.client.FutureCancelledError, distributed.comm.CommClosedError)
    try:
        yield client
    except lost as error:
        reason = str(error).splitlines()[0]
        raise FraudError(f"{scheduler}: the cluster was lost ({reason}); run it again") from None
    finally:
        client.close(timeout=CONNECT_SECONDS)


def _connect(connect: Any, scheduler: str) -> Any:  # noqa: ANN401 - distributed ships no types
    """A client of a cluster that has workers."""
    try:
        client = connect(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, MemoryError) as error:  # MemoryError: what answers is no scheduler, its words are read as sizes
        raise FraudError(
            f"{scheduler}: no Dask scheduler answered within {CONNECT_SECONDS} s ({error}); start `dask scheduler`"
        ) from None
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError:
        client.close()
        raise FraudError(
            f"{scheduler}: no worker came within {CONNECT_SECONDS} s; start `dask worker {scheduler}`"
        ) from None
    return client
