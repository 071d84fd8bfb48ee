"""A model store of a test's own, to be damaged."""

import shutil
from contextlib import contextmanager

import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models.model import ModelStore

from training.console import Steps
from training.run import TrainingPlan, run
from training.train import DEFAULTS


@contextmanager
def home_at(folder):
    """This process works on the model store in ``folder``."""
    (folder / "models").mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENTOML_HOME", str(folder))
        BentoMLContainer.model_store.set(ModelStore(folder / "models"))
        try:
            yield folder
        finally:
            BentoMLContainer.model_store.reset()


@pytest.fixture(scope="package")
def two_trained(tmp_path_factory):
    """A home with two models, and their versions, the older one first."""
    with home_at(tmp_path_factory.mktemp("trained")) as home:
        plan = TrainingPlan(["sample:3000"], recipe=DEFAULTS.model_copy(update={"trees": 5}), jobs=1)
        versions = [run(plan, Steps()).model_version for _ in range(2)]
    return home, versions


@pytest.fixture
def home(two_trained, tmp_path):
    """A copy of it."""
    with home_at(shutil.copytree(two_trained[0], tmp_path / "home")) as folder:
        yield folder


@pytest.fixture
def versions(two_trained):
    return two_trained[1]
