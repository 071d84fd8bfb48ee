"""What the e2e tests share: started once for the session, stopped at its end."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.components import BentoServer, Engine, Prometheus, SeaweedFS, free_port, missing

REPOSITORY = Path(__file__).parents[2]
PROMETHEUS = REPOSITORY / "monitoring" / "prometheus"
BUCKET = "fraud-test"
PATIENT = {"FRAUD_MAX_LATENCY_MS": "60000"}
"""For servers whose tests are not about overload: nobody is turned away, however slow the machine."""


@dataclass(frozen=True)
class Store:
    """A BentoML home that holds one trained model; ``result`` is what ``training run`` printed."""

    home: Path
    result: Mapping[str, Any]

    @property
    def env(self) -> dict[str, str]:
        """For every child process that works on this store."""
        return {**os.environ, "BENTOML_HOME": str(self.home)}

    @property
    def version(self) -> str:
        """The trained model's."""
        return self.result["model_version"]

    def copy(self, home: Path) -> "Store":
        """For a test that changes it, or serves from it: two servers on one home wipe each other's metrics."""
        shutil.copytree(self.home, home, dirs_exist_ok=True)
        return Store(home, self.result)


@dataclass(frozen=True)
class Image:
    """A container image, the engine that has it, and the bento it was made from."""

    tag: str
    engine: Engine
    bento: str


def run(command: Sequence[str], env: Mapping[str, str], timeout: float = 120) -> str:
    """The standard output of a command run from the repository's root; fails with what it said when it failed."""
    done = subprocess.run(command, cwd=REPOSITORY, env=env, timeout=timeout, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)} exited {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def serve_command(port: int) -> list[str]:
    """What ``make run`` starts, on a port of the test's own."""
    address = ("--host", "127.0.0.1", "--port", str(port))
    return [sys.executable, "-m", "bentoml", "serve", "service:FraudDetector", *address]


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """An S3 server with the bucket ``fraud-test``."""
    with SeaweedFS(tmp_path_factory.mktemp("s3")) as server:
        server.make_bucket(BUCKET)
        yield server


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """A model trained on 8,000 rows of the sample; take ``store.copy(...)`` to change it."""
    home = tmp_path_factory.mktemp("store")
    env = {**os.environ, "BENTOML_HOME": str(home)}
    command = [sys.executable, "-m", "training", "run", "--data", "sample:8000", "--trees", "20"]
    return Store(home, json.loads(run(command, env)))


@pytest.fixture(scope="session")
def server(store, tmp_path_factory):
    """One server with two workers, whose ``fraud_rate`` looks back four seconds."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    own = store.copy(folder / "home")
    env = {**own.env, **PATIENT, "FRAUD_WORKERS": "2", "FRAUD_RATE_WINDOW_SECONDS": "4"}
    with BentoServer(serve_command(port), env, REPOSITORY, port, folder) as server:
        yield server


@pytest.fixture(scope="module")
def start(store, tmp_path_factory):
    """Starts servers of a module's own, each on a copy of the store: ``start(FRAUD_WORKERS="2")``."""
    servers = []

    def begin(**settings):
        folder, port = tmp_path_factory.mktemp("own"), free_port()
        env = {**store.copy(folder / "home").env, **PATIENT, "FRAUD_WORKERS": "1", **settings}
        servers.append(BentoServer(serve_command(port), env, REPOSITORY, port, folder))
        return servers[-1].start()

    yield begin
    for server in servers:
        server.terminate()


@pytest.fixture(scope="session")
def prometheus(server, tmp_path_factory):
    """The shipped configuration and rules, with our server as the target and a scrape each second."""
    with Prometheus(quick_config(), tmp_path_factory.mktemp("prometheus"), PROMETHEUS, [server.port]) as server:
        yield server


@pytest.fixture
def validator():
    """Judges resources by the schemas of Kubernetes."""
    try:
        import kubernetes_validate
    except ImportError:
        missing("kubernetes-validate", "pip install kubernetes-validate (it is in requirements/dev.txt)")
    return kubernetes_validate


def quick_config() -> str:
    """The shipped prometheus.yml with intervals of a second."""
    config = (PROMETHEUS / "prometheus.yml").read_text()
    config, changed = re.subn(r"(scrape|evaluation)_interval: \S+", r"\1_interval: 1s", config)
    assert changed == 2
    return config


def engine_only(engine: Engine) -> dict[str, str]:
    """What the engine's environment adds to ours."""
    return {name: value for name, value in engine.env.items() if os.environ.get(name) != value}
