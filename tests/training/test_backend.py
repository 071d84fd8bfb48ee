"""What is said when a Dask cluster cannot be used. A real one is in tests/e2e/test_dask.py."""

import sys

import pytest

from fraud.errors import FraudError
from training import backend


def test_local_needs_nothing(monkeypatch):
    """Not even the package."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with backend.fitting_on("local"):
        pass


@pytest.mark.parametrize("address", [None, "127.0.0.1:8786", "tcp://127.0.0.1", "tcp://a b:1"])
def test_an_address_of_another_form_is_refused(address):
    """At once, in words that show the form."""
    with pytest.raises(FraudError, match=r"expected --scheduler tcp://host:port, .* got "):
        backend.fitting_on("dask", address).__enter__()


def test_the_missing_package_is_named(monkeypatch):
    """With how to get it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(FraudError, match="pip install distributed"):
        backend.fitting_on("dask", "tcp://127.0.0.1:8786").__enter__()


class Cluster:
    """Answers as a client does whose second worker has another scikit-learn."""

    def run(self, ask, name):
        return {"tcp://one": ask(name), "tcp://two": "0.24" if name == "scikit-learn" else ask(name)}


def test_a_worker_with_other_libraries_is_refused():
    """Its trees could be others."""
    with pytest.raises(FraudError, match=r"worker tcp://two has scikit-learn 0\.24, expected 1\.\d"):
        backend._check_libraries(Cluster(), "tcp://scheduler:8786")
