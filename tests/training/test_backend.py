"""What is said when a Dask cluster cannot be used. A real one is in tests/e2e/test_dask.py."""

import sys
from importlib.metadata import PackageNotFoundError

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
    """Answers as a client does whose second worker answers something else about scikit-learn."""

    def __init__(self, other):
        self.other = other

    def run(self, ask, name, on_error):
        assert on_error == "return"
        return {"tcp://one": ask(name), "tcp://two": self.other if name == "scikit-learn" else ask(name)}


@pytest.mark.parametrize(
    ("other", "said"), [("0.24", r"0\.24"), (PackageNotFoundError("scikit-learn"), "none")], ids=["older", "missing"]
)
def test_a_worker_with_other_libraries_is_refused(other, said):
    """Its trees could be others, or it could grow none."""
    with pytest.raises(FraudError, match=rf"worker tcp://two has scikit-learn {said}, expected 1\.\d"):
        backend._check_libraries(Cluster(other), "tcp://scheduler:8786")


def test_a_worker_that_fails_otherwise_is_not_hidden():
    """A lost connection is said in its own words, by ``fitting_on``."""
    with pytest.raises(ConnectionResetError):
        backend._check_libraries(Cluster(ConnectionResetError()), "tcp://scheduler:8786")
