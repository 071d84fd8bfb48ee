"""All contestants, in the order in which the tables show them."""

from benchmarks.serving.contestants import asgi, demo, mlflow, mlserver, service, stock_bentoml
from benchmarks.serving.contestants.contestant import Contestant


def every() -> list[Contestant]:
    """Every contestant, in every setting that this version of the service has."""
    modules = (service, asgi, stock_bentoml, mlserver, mlflow, demo)
    return [contestant for module in modules for contestant in module.contestants()]
