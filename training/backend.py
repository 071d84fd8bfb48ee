"""Where a forest is fitted: on this machine's cores, or on a Dask cluster, through scikit-learn's own use of joblib.

Trees are drawn from seeds that are dealt out before anything is sent, so the forest is the same wherever it grows, as
long as the libraries are: that is checked. Workers need Python, scikit-learn and Dask, and nothing of ours.
See https://docs.dask.org/en/stable/ml.html and ``joblib.parallel_config``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from joblib import parallel_config

from fraud.bulk import cluster
from fraud.errors import FraudError

Backend = Literal["local", "dask"]

_SAME = ("scikit-learn", "numpy", "scipy", "joblib", "cloudpickle")  # what the trees, or their way here, depend on


@contextmanager
def fitting_on(backend: Backend = "local", scheduler: str | None = None) -> Iterator[None]:
    """Inside, forests are fitted on ``backend``; ``scheduler`` is a Dask scheduler's address, ``tcp://host:8786``.

    Raises FraudError when the cluster cannot be reached, has no workers or other libraries than we, and when it is
    lost on the way. When all workers go later, Dask waits for new ones.
    """
    if backend == "local":
        yield
        return
    with cluster.connected(scheduler) as client:
        _check_libraries(client, str(scheduler))
        with parallel_config(backend="dask", client=client):
            yield


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
