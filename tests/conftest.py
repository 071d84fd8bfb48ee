"""Every test starts from a clean environment: nothing of the developer's own settings, keys or stores."""

import os
import shutil
import tempfile

OURS = ("FRAUD_", "AWS_", "BENTOML_")


def pytest_configure(config):
    """Before any test module is imported, because bentoml reads its home when it is imported."""
    for name in [name for name in os.environ if name.startswith(OURS)]:
        del os.environ[name]
    config.bentoml_home = tempfile.mkdtemp(prefix="bentoml-home-")
    os.environ.update(BENTOML_HOME=config.bentoml_home, BENTOML_DO_NOT_TRACK="True", AWS_EC2_METADATA_DISABLED="true")


def pytest_unconfigure(config):
    shutil.rmtree(config.bentoml_home, ignore_errors=True)
