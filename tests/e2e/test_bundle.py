"""What ships: the built Bento and the container image serve the sample request, and hold only what serving needs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from tests.components import BentoServer, Container, free_port, wait_until
from tests.e2e.conftest import REPOSITORY, run

pytestmark = pytest.mark.e2e

SAMPLE = json.loads((REPOSITORY / "sample_transaction.json").read_text())
SHIPPED = {
    "bentofile.yaml",
    "service.py",
    "sample_transaction.json",
    "monitoring/__init__.py",
    "monitoring/metrics.py",
    *(f"fraud/{name}.py" for name in ("__init__", "docs", "edge", "errors", "features", "forest", "manifest")),
    *(f"fraud/{name}.py" for name in ("profile", "request", "schema", "settings", "store")),
}


def check_answers(url, version):
    """The sample request and /metrics, as a user tries them first."""
    answer = httpx.post(f"{url}/predict", json=SAMPLE, trust_env=False).raise_for_status().json()
    assert answer["model_version"] == version
    assert answer["is_fraud"] is False
    counted = 'fraud_predictions_total{decision="legitimate"} 1.0'
    wait_until(lambda: counted in httpx.get(f"{url}/metrics", trust_env=False).text)


@pytest.fixture(scope="module")
def built(store, tmp_path_factory):
    """Store, tag and what ``bentoml build`` said."""
    own = store.copy(tmp_path_factory.mktemp("bundle"))
    said = run([sys.executable, "-m", "bentoml", "build", "--output", "tag"], own.env)
    return own, said.strip().removeprefix("__tag__:")


def test_the_bento_holds_only_what_serving_needs(built):
    """No tests, training, registry or data are in the bundle's sources."""
    own, tag = built
    source = own.home / "bentos" / tag.replace(":", "/") / "src"
    assert {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()} == SHIPPED


def test_the_bento_pins_the_model_it_was_built_with(built):
    """``latest`` is a version once it is built in, so a later model does not slip into it."""
    own, tag = built
    facts = yaml.safe_load((own.home / "bentos" / tag.replace(":", "/") / "bento.yaml").read_text())
    assert [model["tag"] for service in facts["services"] for model in service["models"]] == [
        f"fraud_detector:{own.version}"
    ]


def test_building_gives_no_warning(built):
    """bentofile.yaml is accepted as it is."""
    own, _ = built
    done = subprocess.run(
        [sys.executable, "-m", "bentoml", "build"], cwd=REPOSITORY, env=own.env, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert not re.search("warn|deprecat", done.stdout + done.stderr, re.IGNORECASE)


def test_the_built_bundle_serves(built, tmp_path):
    """bentoml serve TAG answers the sample request from the bundle alone, started in another folder."""
    own, tag = built
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", tag, "--host", "127.0.0.1", "--port", str(port)]
    with BentoServer(command, own.env, tmp_path, port, tmp_path) as server:
        check_answers(server.url, own.version)


def test_the_container_serves(image, store, tmp_path):
    """docker run answers the sample request and /metrics, as an ordinary user, without compilers or scikit-learn."""
    port = free_port()
    with Container(image.engine, image.tag, port, tmp_path) as container:
        check_answers(container.url, store.version)
        assert container.exec("id", "-u").strip() != "0"
        look = (
            "import importlib.util as util, shutil;"
            "print(*filter(util.find_spec, ('sklearn', 'pandas', 'boto3')), *filter(shutil.which, ('gcc', 'git')))"
        )
        assert container.exec("python", "-c", look).strip() == ""
        assert container.terminate() == 0


def test_the_image_is_small(image):
    """At most 250 MB over its base."""
    size, base = (
        int(image.engine.run("image", "inspect", "--format", "{{.Size}}", name).strip())
        for name in (image.tag, "python:3.11-slim")
    )
    assert (size - base) / 1e6 < 250


def test_every_included_file_exists():
    """A pattern that matches nothing is a name that was changed elsewhere."""
    patterns = yaml.safe_load(Path(REPOSITORY / "bentofile.yaml").read_text())
    for pattern in patterns["include"] + patterns["exclude"]:
        assert list(REPOSITORY.glob(pattern.removeprefix("/"))), pattern
