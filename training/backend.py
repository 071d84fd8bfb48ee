"""Where a forest is fitted: on this machine's cores, or on a Dask cluster, through scikit-learn's own use of joblib.

Trees are drawn from seeds that are dealt out before anything is sent, so the forest is the same wherever it grows, as
long as the libraries are: that is checked. Workers need Python, scikit-learn and Dask, and nothing of ours.
See https://docs.dask.org/en/stable/ml.html and ``joblib.parallel_config``.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from joblib import parallel_config

from fraud.errors import FraudError

Backend = Literal["local", "dask"]

CONNECT_SECONDS = 10
_ADDRESS = re.compile(r"[a-z]+://[^/\s]+:\d+")
_SAME = ("scikit-learn", "numpy", "scipy", "joblib", "cloudpickle")  # what the trees, or their way here, depend on


@contextmanager
def fitting_on(backend: Backend = "local", scheduler: str | None = None) -> Iterator[None]:
    """Inside, forests are fitted on ``backend``; ``scheduler`` is a Dask scheduler's address, ``tcp://host:8786``.

    Raises FraudError when the cluster cannot be reached, has no workers or other libraries than we, and when it is
    lost on the way. Connecting takes ``CONNECT_SECONDS`` at most; when all workers go later, Dask waits for new ones.
    """
    if backend == "local":
        yield
        return
    if not _ADDRESS.fullmatch(scheduler or ""):
        raise FraudError(
            f"expected --scheduler tcp://host:port, the address that `dask scheduler` prints, got {scheduler!r}"
        )
    try:
        distributed: Any = import_module("distributed")  # ships no types, and is not installed everywhere
    except ImportError:
        raise FraudError(
            "--backend dask needs the package `distributed` here and on the workers: pip install distributed"
        ) from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it would say is in the errors below
    client = _connect(distributed.Client, str(scheduler))
    lost = (distributed.KilledWorker, distributed.client.FutureCancelledError, distributed.comm.CommClosedError)
    try:
        _check_libraries(client, str(scheduler))
        with parallel_config(backend="dask", client=client):
            yield
    except lost as error:
        reason = str(error).splitlines()[0]
        raise FraudError(f"{scheduler}: the cluster was lost while fitting ({reason}); run it again") from None
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


def _check_libraries(client: Any, scheduler: str) -> None:  # noqa: ANN401
    """Raise FraudError unless every worker has our versions: others may grow other trees."""
    for name in _SAME:
        here = version(name)
        for worker, answer in client.run(version, name, on_error="return").items():
            there = "none" if isinstance(answer, PackageNotFoundError) else answer
            if isinstance(there, Exception):
                raise there
            if there != here:
                raise FraudError(f"{scheduler}: worker {worker} has {name} {there}, expected {here} as here")
