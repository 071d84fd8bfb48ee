"""Searches of small forests, with a ``BENTOML_HOME`` of their own."""

import bentoml
import pytest

from tests.training.tuning import small
from training.train import DEFAULTS
from training.tuning import forests


@pytest.fixture(autouse=True, scope="session")
def settled():
    """BentoML keeps the store that it looks into first: not in a home of a test here, which others would keep."""
    bentoml.models.list()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Studies are this test's own."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(autouse=True, scope="package")
def few_trees():
    """The defaults have few of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forests, "DEFAULTS", DEFAULTS.model_copy(update={"trees": small.TREES}))
        patch.setattr(forests, "_STEP", 5)
        yield


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """A file of rows."""
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    small.frame().to_parquet(path)
    return path


@pytest.fixture(scope="package")
def long(source, tmp_path_factory):
    """A search of some length: what it answered, and what it said."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENTOML_HOME", str(tmp_path_factory.mktemp("long")))
        yield small.searched(source, "long", trials=12)
