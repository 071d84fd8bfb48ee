"""``python -m training tune`` as a process: ended by signals and gone on with; models are made by its recipe."""

import json
import signal
import subprocess
import sys
import uuid
from collections import deque
from itertools import islice

import pytest

from tests.e2e.conftest import BUCKET, REPOSITORY, run
from tests.e2e.test_registry import Commands
from tests.training.tuning import small
from tests.training.tuning.small import tried
from training.tuning import recipe_file

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With a file of rows, and a schema of a name of its own."""
    folder = tmp_path_factory.mktemp("tuning")
    small.frame().to_parquet(folder / "rows.parquet")
    return folder


@pytest.fixture
def schema(folder):
    """The default columns by another name; its recipe goes with the test."""
    name, path = f"tuned-{uuid.uuid4().hex[:8]}", folder / "schema.toml"
    text = (REPOSITORY / "fraud" / "schemas" / "creditcard.toml").read_text()
    path.write_text(text.replace('name = "creditcard"', f'name = "{name}"'))
    yield path, recipe_file.path_of(name)
    recipe_file.path_of(name).unlink(missing_ok=True)
    if not any(recipe_file.FOLDER.iterdir()):
        recipe_file.FOLDER.rmdir()


@pytest.fixture
def commands(tmp_path):
    return Commands(tmp_path / "home", {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"})


def arguments(folder, *more):
    return ["tune", "--data", folder / "rows.parquet", "--jobs", "1", "--most-cost", "1", *more]


def ended(commands, folder, how, after):
    """A search that was sent a signal in its trial number ``after`` of this process: exit code, document, words."""
    asked = [sys.executable, "-m", "training", *arguments(folder, "--study", "ended", "--trials", "99")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(asked, cwd=REPOSITORY, env=commands.env, **pipes) as search:
        begun = (line for line in search.stderr if line.startswith("  estimator "))
        deque(islice(begun, after), maxlen=0)
        search.send_signal(how)
        out, err = search.communicate(timeout=60)
    return search.returncode, out and json.loads(out), err


def test_what_was_found_survives_an_end_by_any_signal(commands, folder):
    """Ctrl-C tells it at once, exit code 130; killed or not, the same command goes on to what there would have been."""
    code, told, err = ended(commands, folder, signal.SIGINT, 2)
    assert code == 130
    assert told["interrupted"]
    assert told["families"]["forest"]["finished"] == 1
    assert "the same command goes on" in err
    assert ended(commands, folder, signal.SIGKILL, 1)[0] == -signal.SIGKILL
    code, resumed, err = commands(*arguments(folder, "--study", "ended", "--trials", "3"))
    assert code == 0
    assert "forest 1 of" not in err
    _, whole, _ = commands(*arguments(folder, "--study", "whole", "--trials", "3"))
    assert [trial["state"] for trial in tried(resumed)] == ["complete", "fail", "fail", "complete", "complete"]
    assert [trial["trial"] for trial in tried(resumed)] == [1, 2, 2, 2, 3]
    assert [trial for trial in tried(resumed) if trial["state"] != "fail"] == tried(whole)
    assert resumed["best"] == whole["best"]


def test_the_recipe_that_is_used_is_what_models_are_made_by(commands, folder, schema, s3):
    """``run`` and ``retrain`` find it by the name of the schema; the manifests say so."""
    path, recipe = schema
    code, found, error = commands(*arguments(folder, "--schema", path, "--trials", "2", "--use"))
    assert code == 0, error
    assert found["recipe_file"] == str(recipe)
    settings = found["best"]["recipe"] | {"trees": 12}
    recipe.write_text(recipe.read_text().replace(f"trees = {found['best']['recipe']['trees']}", "trees = 12"))
    data = ("--data", folder / "rows.parquet")
    _, trained, _ = commands("run", *data, "--schema", path)
    assert trained["settings"] == settings
    _, trained, _ = commands("run", *data, "--schema", path, "--trees", "6")
    assert trained["settings"] == settings | {"trees": 6}
    uri = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    remote = {**s3.env, "FRAUD_S3_URI": uri}
    code, retrained, error = commands("retrain", *data, "--schema", path, **remote)
    assert code in (0, 3), error
    published = f"{uri}/models/{retrained['challenger']}/manifest.json"
    document = json.loads(run(["aws", "s3", "cp", published, "-"], {**commands.env, **remote}))
    assert document["manifest"]["settings"] == settings
