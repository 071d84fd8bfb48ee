"""The init container of the component ``postgres``: its command, run here as the pods run it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.components import Postgres, free_port
from tests.e2e.conftest import REPOSITORY
from tests.e2e.test_kubernetes_components import files, overlay, pod, service

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def resources(tmp_path_factory):
    return overlay(tmp_path_factory.mktemp("postgres"), ["postgres"])


def test_the_upgrade_runs_in_the_services_image(tmp_path):
    """Also where an overlay names another."""
    images = [{"name": "registry.example/fraud_detector", "newName": "mirror.example/fraud", "newTag": "abc"}]
    resources = overlay(tmp_path, ["postgres"], images=images)
    [upgrade] = pod(resources)["initContainers"]
    assert upgrade["image"] == service(resources)["image"] == "mirror.example/fraud:abc"


def upgrade(resources, folder, url):
    """What the init container does, here, with the owner's URL as its Secret has it."""
    [container] = pod(resources)["initContainers"]
    env = files(container, resources, folder)
    Path(env["FRAUD_DATABASE_URL_FILE"]).write_text(url)
    given = {**env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(container["command"], cwd=REPOSITORY, env=given, capture_output=True, text=True, timeout=120)


def test_the_upgrade_makes_the_tables(resources, tmp_path):
    """Of a Postgres that has none, by the command of the manifest; doing it again, as each pod does, does no harm."""
    with Postgres(tmp_path) as postgres:
        for folder in ("first", "second"):
            done = upgrade(resources, tmp_path / folder, postgres.url)
            assert done.returncode == 0, done.stderr
            assert "the tables are as they were" not in done.stderr
        assert postgres.query("SELECT count(*) FROM fraud_decisions") == "0"


def test_a_database_that_is_away_keeps_no_pod_from_starting(resources, tmp_path):
    """The pod's log says so; the service says it too, and its rows wait."""
    done = upgrade(resources, tmp_path, f"postgresql://owner:secret@127.0.0.1:{free_port()}/fraud")
    assert done.returncode == 0
    assert "error: the database of FRAUD_DATABASE_URL" in done.stderr
    assert "the tables are as they were" in done.stderr
    assert "secret" not in done.stderr
