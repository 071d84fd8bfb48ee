"""The page for who has data of their own: its commands run as they stand, in order, and do what it says."""

import json
import os
import re
import shutil
import subprocess
import sysconfig

import pytest

from fraud import schema
from tests.components import BentoServer, free_port
from tests.e2e.conftest import REPOSITORY, serve_command

pytestmark = pytest.mark.e2e

PAGE = (REPOSITORY / "docs" / "your-data.md").read_text()
STEPS, WATCHED, SEARCHED = re.split(r"## (?:8|10)\.", PAGE.partition("## Kinds")[0])
"""From a file to a served model; then watched and trained again; then made better. What follows explains."""
BLOCKS = re.compile(r"```sh\n(.*?)```", re.DOTALL)
COMMANDS = [line for block in BLOCKS.findall(STEPS) for line in block.splitlines()]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder it was done in, and stdout and stderr by command."""
    folder = tmp_path_factory.mktemp("your-data")
    return folder, {" ".join(command.split()[2:5]): bash(command, folder) for command in COMMANDS[:-2]}


def bash(script, folder, packages=REPOSITORY):
    """What a shell has done that stands in the folder, with the packages of this checkout or of a copy."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    own = {"BENTOML_HOME": str(folder / "home"), "PYTHONPATH": str(packages), "PATH": path}
    done = subprocess.run(
        ["bash", "-c", f"set -e\n{script}"],
        cwd=folder,
        env=os.environ | own,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    return done


def document(ran, command):
    return json.loads(next(done.stdout for name, done in ran[1].items() if name.startswith(command)))


def documents(done):
    return [json.loads(part) for part in re.findall(r"^\{.*?^\}", done.stdout, re.DOTALL | re.MULTILINE)]


def test_every_command_is_one_of_ours():
    """The last but one serves; the test does that on a port of its own."""
    assert len(COMMANDS) == 9
    assert all(re.match(r"python -m (training|fraud) ", command) for command in COMMANDS[:-2])
    assert [command.split()[:2] for command in COMMANDS[-2:]] == [["make", "run"], ["curl", "-s"]]


def test_the_example_is_answered_watched_and_trained_on(ran):
    """By the service, which takes the schema from the model; then labelled, judged, exported, and in the next model."""
    folder, port = ran[0], free_port()
    own = {"BENTOML_HOME": str(folder / "home"), "FRAUD_DATABASE_URL": f"sqlite:///{folder}/data/fraud.sqlite"}
    with BentoServer(serve_command(port), os.environ | own, REPOSITORY, port, folder) as server:
        answer = json.loads(bash(COMMANDS[-1].replace("localhost:3000", f"127.0.0.1:{port}"), folder).stdout)
        assert server.terminate() == 0
    assert answer.keys() == {"fraud_probability", "is_fraud", "model_version", "transaction_id"}
    assert answer["transaction_id"] == "example-1"
    taken, report, exported, trained = documents(bash("\n".join(BLOCKS.findall(WATCHED)), folder))
    assert (taken["labels"], taken["without_prediction"]) == (1, 0)
    assert [one["labelled"] for one in report["models"]] == [1]
    assert (exported["rows"], exported["frauds"]) == (1, 1)
    assert trained["model_version"] != answer["model_version"]


def test_what_a_search_finds_is_what_is_trained_by(ran, tmp_path):
    """In a copy of the packages, as the recipe is written beside the code; with fewer trials than half an hour has."""
    for package in ("fraud", "training"):
        shutil.copytree(REPOSITORY / package, tmp_path / package)
    [script] = BLOCKS.findall(SEARCHED)
    done = bash(script.replace("--minutes 30", "--trials 2"), ran[0], tmp_path)
    found, trained = documents(done)
    assert found["recipe_file"] == str(tmp_path / "training" / "recipes" / "shop.toml")
    assert trained["settings"] == found["best"]["recipe"]
    assert f"recipe: {found['recipe_file']}" in done.stderr.splitlines()  # the best may be the defaults


def test_the_draft_is_what_the_page_shows(ran):
    """Line by line, and the file keeps it."""
    [shown] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    drafted = (ran[0] / "shop.toml").read_text()
    assert [line for line in shown.splitlines() if line not in drafted.splitlines()] == []
    assert document(ran, "training schema check")["passed"]


def test_the_model_learns_what_the_page_says(ran):
    """Average precision about 0.7 on rows that it has not seen, and the figures of each channel."""
    judged = document(ran, "training evaluate")
    assert 0.6 < judged["metrics"]["average_precision"]["value"] < 0.85
    assert {"web", "app", "shop", "phone"} <= set(json.dumps(judged).replace('"', " ").split())


def test_each_row_is_scored(ran):
    """In the order of the file, under its ids."""
    orders = [line.split(";")[0] for line in (ran[0] / "shop.csv").read_text("utf-8-sig").splitlines()[1:]]
    scored = [line.split(",") for line in (ran[0] / "scores.csv").read_text().splitlines()]
    assert [
        row[scored[0].index("order_id" if "order_id" in scored[0] else "transaction_id")] for row in scored[1:]
    ] == orders


def test_the_example_is_a_request(ran):
    """Of the schema's columns."""
    request = json.loads((ran[0] / "order.json").read_text())
    assert set(schema.read(ran[0] / "shop.toml").inputs) <= set(request)


def test_messages_of_the_page_are_those_of_the_code():
    """What can be raised without data is compared with what is raised."""
    for declared in (
        '[columns.x]\nkind = "key"\nminimum = 1\n',
        '[roles]\namount = "total"\n[columns.v]\nkind = "number"\n',
        '[roles]\nlabel = "y"\n[columns.y]\nkind = "number"\n',
    ):
        with pytest.raises(schema.SchemaError) as error:
            schema.parse(f'name = "page"\n{declared}', "page")
        assert f"`{str(error.value).removeprefix('page: ')}`" in PAGE
