"""What may not serve says so in one line, however it is started, and takes nothing away from what serves already."""

import json
import os
import shutil
import signal
import subprocess
import sys

import httpx
import psutil
import pytest
import yaml

from tests.components import BentoServer, answers, free_port, wait_until
from tests.e2e.conftest import REPOSITORY, run, serve_command

pytestmark = pytest.mark.e2e

TRAINING = (sys.executable, "-m", "training")


def serving(home, folder):
    """A server with one worker on a home."""
    port = free_port()
    env = {**os.environ, "BENTOML_HOME": str(home), "FRAUD_WORKERS": "1"}
    return BentoServer(serve_command(port), env, REPOSITORY, port, folder)


@pytest.fixture(scope="module")
def first(store, tmp_path_factory):
    """A server that runs, and its home."""
    folder = tmp_path_factory.mktemp("first")
    home = store.copy(folder / "home").home
    with serving(home, folder) as server:
        yield server, home


def start_in_vain(home, *arguments, **settings):
    """The exit code and the words of a start that is refused."""
    env = {**os.environ, "BENTOML_HOME": str(home), **settings}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def ways(port):
    """How a server is started, by what people call it."""
    return {
        "bentoml serve": ("-m", "bentoml", "serve", "--port", port),
        "Python": ("-c", f"import bentoml; bentoml.serve('service:FraudDetector', port={port})"),
        "make run": ("-m", "training", "serve", "--host", "localhost", "--port", port),
    }


@pytest.mark.parametrize("how", ways(""))
def test_a_second_server_on_one_home_is_refused_and_takes_nothing_away(first, how):
    """One line and exit code 1, before a model is looked for; the first one's series are there as before."""
    server, home = first
    arguments = ways(str(free_port()))[how]
    code, said = start_in_vain(home, *arguments, FRAUD_MODEL="fraud_detector:nowhere")
    assert code == 1
    assert f"error: another server (process {server.pid}) runs on BENTOML_HOME {home}, and this one would" in said
    assert "Traceback" not in said
    series = httpx.get(f"{server.url}/metrics", trust_env=False).text
    assert all(f"\n{name}" in series for name in ("fraud_workers_ready 1.0", "fraud_threshold ", "fraud_model_info{"))


def test_what_only_builds_is_not_refused(first):
    """``bentoml build`` reads the same service and starts none."""
    _, home = first
    assert start_in_vain(home, "-m", "bentoml", "build", "--output", "tag")[0] == 0


@pytest.mark.parametrize("how", ["bentoml serve", "Python", "make run"])
def test_a_model_that_is_not_there_stops_the_start(store, tmp_path, how):
    """What the store holds is named, and no worker is started that would end, and be started, again and again."""
    home = store.copy(tmp_path / "home").home
    arguments = ways(str(free_port()))[how]
    code, said = start_in_vain(home, *arguments, FRAUD_MODEL="fraud_detector:nowhere")
    assert code == 1
    words = f"error: the model store has no fraud_detector:nowhere; it holds fraud_detector:{store.version}: name one"
    assert words in said
    assert "Traceback" not in said
    assert "entry_service" not in said


def test_a_home_is_free_when_its_server_was_killed(store, tmp_path):
    """Also while workers outlive their parent, as one that stands still does: they hold nothing."""
    home = store.copy(tmp_path / "home").home
    killed = serving(home, tmp_path).start()
    [worker] = [psutil.Process(pid) for pid in killed.worker_pids()]
    worker.suspend()
    os.kill(killed.pid, signal.SIGKILL)
    try:
        (tmp_path / "second").mkdir()
        with serving(home, tmp_path / "second"):
            assert worker.is_running()
    finally:
        killed.terminate()
        if worker.is_running():
            worker.kill()


@pytest.fixture(scope="module")
def two(store, tmp_path_factory):
    """A store with an older model, which is chosen, and a newer one; and both versions."""
    own = store.copy(tmp_path_factory.mktemp("two") / "home")
    newer = json.loads(run([*TRAINING, "run", "--data", "sample:8000", "--trees", "5"], own.env))["model_version"]
    return own, store.version, newer


@pytest.fixture
def chosen(two):
    """The same with the older one chosen; the choice is taken back afterwards."""
    own, older, newer = two
    assert json.loads(run([*TRAINING, "use", older], own.env)) == {"chosen": older, "before": None}
    yield own, older, newer
    run([*TRAINING, "use", "--newest"], own.env)


def served(server):
    return httpx.get(f"{server.url}/model", trust_env=False).json()["model_version"]


@pytest.mark.parametrize("how", ["bentoml serve", "make run"])
def test_without_a_choice_the_newest_is_served_and_the_others_are_named(two, tmp_path, how):
    """With the command that chooses; FRAUD_S3_URI, which the service does not use, is said as well."""
    own, older, newer = two
    port = free_port()
    env = {**own.env, "FRAUD_WORKERS": "1"}
    if how == "bentoml serve":
        env["FRAUD_S3_URI"] = "s3://my_bucket/fraud"
    with BentoServer([sys.executable, *ways(str(port))[how]], env, REPOSITORY, port, tmp_path) as server:
        assert served(server) == newer
        assert f"the newest of 2 local models (the others: {older}); `python -m training use VERSION`" in server.log()
        said = f"FRAUD_S3_URI is set, and the service does not use it: it serves fraud_detector:{newer}"
        assert (said in server.log()) is (how == "bentoml serve")


@pytest.mark.parametrize("how", ["bentoml serve", "make run"])
def test_the_chosen_model_is_served(chosen, tmp_path, how):
    """Not the newest; and one that FRAUD_MODEL names comes before it."""
    own, older, newer = chosen
    for named, expected in ({}, older), ({"FRAUD_MODEL": f"fraud_detector:{newer}"}, newer):
        port = free_port()
        folder = tmp_path / expected
        folder.mkdir()
        env = {**own.env, "FRAUD_WORKERS": "1", **named}
        with BentoServer([sys.executable, *ways(str(port))[how]], env, REPOSITORY, port, folder) as server:
            assert served(server) == expected


def test_a_worker_that_is_started_anew_serves_what_the_others_do(two, tmp_path):
    """A newer model, or another choice, that came meanwhile is for the next start."""
    own, older, newer = two
    home = own.copy(tmp_path / "home")
    with serving(home.home, tmp_path) as server:
        assert served(server) == newer
        run([*TRAINING, "use", older], home.env)
        [worker] = server.worker_pids()
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: server.worker_pids() not in ([], [worker]), seconds=30)
        wait_until(lambda: answers(f"{server.url}/readyz"), seconds=30)
        assert served(server) == newer


def test_a_bento_is_built_of_the_chosen_model_and_serves_it(chosen, tmp_path):
    """Also where the store has a newer one, and another is chosen by then."""
    own, older, newer = chosen
    said = run([sys.executable, "-m", "bentoml", "build", "--output", "tag"], own.env)
    tag = said.strip().removeprefix("__tag__:")
    facts = yaml.safe_load((own.home / "bentos" / tag.replace(":", "/") / "bento.yaml").read_text())
    assert [model["tag"] for model in facts["services"][0]["models"]] == [f"fraud_detector:{older}"]
    run([*TRAINING, "use", newer], own.env)
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", tag, "--host", "127.0.0.1", "--port", str(port)]
    with BentoServer(command, {**own.env, "FRAUD_WORKERS": "1"}, tmp_path, port, tmp_path) as server:
        assert served(server) == older


@pytest.mark.parametrize("how", ["bentoml serve", "Python", "make run", "build", "evaluate", "score"])
def test_a_chosen_model_that_was_deleted_stops_all_that_would_take_it(two, tmp_path, how):
    """With one line; no other model is taken in its place."""
    own, older, _ = two
    home = own.copy(tmp_path / "home")
    shutil.rmtree(home.home / "bentos")  # BentoML deletes no model that one of these holds
    run([*TRAINING, "use", older], home.env)
    run([sys.executable, "-m", "bentoml", "models", "delete", f"fraud_detector:{older}", "--yes"], home.env)
    others = {
        "build": ("-m", "bentoml", "build"),
        "evaluate": ("-m", "training", "evaluate", "--data", "sample:2000"),
        "score": ("-m", "fraud", "score", "sample_transaction.csv", str(tmp_path / "out.csv")),
    }
    code, said = start_in_vain(home.home, *(ways(str(free_port())) | others)[how])
    assert code == 1
    assert f"error: fraud_detector:{older} was chosen to be served and the model store does not have it" in said
    assert "Traceback" not in said


def test_an_image_is_built_of_the_chosen_model(chosen):
    """What ``training image`` copies into its fresh store where there is no FRAUD_S3_URI; the image itself is in
    tests/e2e/test_bundle.py."""
    own, older, _ = chosen
    code = (
        "import os, tempfile; from training.shipping import image; from training.console import Steps;"
        "print(image._copy(None, {**os.environ, 'BENTOML_HOME': tempfile.mkdtemp()}, Steps())[0])"
    )
    assert run([sys.executable, "-c", code], own.env).strip() == f"fraud_detector:{older}"


def test_the_list_marks_the_chosen_model(chosen):
    """And says so in words when it was deleted."""
    own, older, _ = chosen
    listed = json.loads(run([*TRAINING, "list"], own.env))
    assert listed["chosen"] == older
    assert [model["model_version"] for model in listed["models"] if model["chosen"]] == [older]
    (own.home / "fraud_chosen").write_text("gone")
    done = subprocess.run([*TRAINING, "list"], cwd=REPOSITORY, env=own.env, capture_output=True, text=True)
    assert done.returncode == 0
    assert "fraud_detector:gone is chosen and not here" in done.stderr
