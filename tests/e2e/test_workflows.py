"""retrain.yml, run for real by act on this machine: from a checkout to a container that answers, and a refusal.

Actions that would be fetched from GitHub have stand-ins in ``tests/e2e/actions``. The job ``publish`` is left out: it
needs GitHub's registry.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fraud.schema import default
from tests.components import Container, free_port, require, require_engine
from tests.components.s3 import ACCESS_KEY, REGION, SECRET_KEY
from tests.e2e.conftest import BUCKET, REPOSITORY
from tests.e2e.test_bundle import check_answers
from tests.e2e.test_registry import Commands
from tests.test_workflows import as_act_knows_it
from tests.ulb import COLUMNS, LABEL
from training import split
from training.data import load

pytestmark = pytest.mark.e2e

SOURCE = "sample:60000"  # what the workflow simulates without AWS: about 60 frauds are held out
FIT = ("--split", "stratified", "--trees", "20", "--max-samples", "0.3")
RUNNERS_OWN = ("GITHUB_", "RUNNER_", "ACTIONS_", "AWS_", "FRAUD_")


@dataclass(frozen=True)
class Run:
    """What a workflow run left: exit code, log, and the folder of its artifacts."""

    exit_code: int
    log: str
    artifacts: Path

    @property
    def outcome(self) -> dict[str, Any]:
        """What ``retrain`` printed."""
        return json.loads((self.artifacts / "verdict" / "retrain.json").read_text())

    @property
    def image(self) -> Path:
        """The folder of the one image that was kept."""
        (folder,) = self.artifacts.glob("image-*")
        return folder


class Act:
    """Runs ``retrain.yml`` on the commit that ci tested, of a throw-away repository.

    A later commit, that cannot retrain, is on main already. ``remove()`` takes images away, as tags and as files.
    """

    def __init__(self, folder):
        self.engine, self.act = require_engine(), require("act")
        self.folder, self.checkout = folder, folder / "checkout"
        self.tested = copy_checkout(self.checkout)
        (self.checkout / "training" / "__main__.py").write_text("raise SystemExit('this commit was not tested')\n")
        workflow = self.checkout / ".github/workflows/retrain.yml"
        workflow.write_text(as_act_knows_it(workflow.read_text()))
        commit(self.checkout)
        self._images = []

    def __call__(self, name, options, variables=None, secrets=None, **ci):
        artifacts = self.folder / name
        ran = {"conclusion": "success", "event": "push", "head_sha": self.tested, **ci}
        event = self.folder / f"{name}.json"
        event.write_text(json.dumps({"action": "completed", "workflow_run": ran}))
        variables = {"RETRAIN_OPTIONS": " ".join(map(str, options)), **(variables or {})}
        given = {"E2E_VENV": sys.prefix, "E2E_ARTIFACTS": artifacts, "BENTOML_HOME": artifacts / "home"}
        given |= {"E2E_CHECKOUT": self.checkout}
        given |= {"TTY_COMPATIBLE": 0, "NO_COLOR": 1}  # act gives each step a terminal, GitHub does not
        command = [
            *(self.act, "workflow_run", "--eventpath", event),
            *("--workflows", ".github/workflows/retrain.yml", "--job", "retrain"),
            *("--platform", "ubuntu-latest=-self-hosted", "--no-cache-server"),
            *("--action-cache-path", self.folder / "cache"),
            *(word for pair in stand_ins(self.checkout) for word in ("--local-repository", pair)),
            *(word for pair in given.items() for word in ("--env", "{}={}".format(*pair))),
            *(word for pair in variables.items() for word in ("--var", "{}={}".format(*pair))),
            *(word for key in secrets or {} for word in ("--secret", key)),  # the values come from the environment
        ]
        env = {key: value for key, value in self.engine.env.items() if not key.startswith(RUNNERS_OWN)}
        env |= {"XDG_CACHE_HOME": str(self.folder / "cache"), **(secrets or {})}
        done = subprocess.run(
            list(map(str, command)),
            cwd=self.checkout,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
        )
        (self.folder / f"{name}.log").write_text(done.stdout)
        self._images += [path.name.removeprefix("image-") for path in artifacts.glob("image-*")]
        return Run(done.returncode, done.stdout, artifacts)

    def remove(self):
        for version in self._images:
            self.engine.run("rmi", "--force", f"fraud_detector:{version}")
        for archive in self.folder.glob("*/image-*/image.tar"):  # half a gigabyte each, and pytest keeps three runs
            archive.unlink()


def copy_checkout(folder):
    """The files of this working tree, committed in a repository of their own; the commit."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (REPOSITORY / name).is_file():  # not one that was deleted and not yet committed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    return commit(folder)


def commit(folder):
    """All that is in the folder, on main; the commit."""
    git = ["git", "-c", "user.name=e2e", "-c", "user.email=e2e@localhost", "-c", "init.defaultBranch=main"]
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "e2e"]):
        subprocess.run([*git, *words], cwd=folder, check=True, env=env)
    said = subprocess.run([*git, "rev-parse", "HEAD"], cwd=folder, check=True, env=env, capture_output=True, text=True)
    return said.stdout.strip()


def stand_ins(checkout):
    """``OWNER/ACTION@REF=FOLDER`` for each fetched action that has a stand-in."""
    text = "\n".join(path.read_text() for path in sorted((checkout / ".github").rglob("*.yml")))
    for action, reference in sorted(set(re.findall(r"uses: ([\w-]+/[\w-]+)@(\S+)", text))):
        folder = REPOSITORY / "tests" / "e2e" / "actions" / action.partition("/")[2]
        if folder.is_dir():
            yield f"{action}@{reference}={folder}"


def said(run):
    """The log without act's prefixes."""
    return re.sub(r"^\[[^]]*\] *(\| )?", "", run.log, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def act(tmp_path_factory):
    act = Act(tmp_path_factory.mktemp("act"))
    yield act
    act.remove()


@pytest.fixture(scope="module")
def fork(act):
    """After a green ci of a fork that has no AWS: no variable and no secret is set."""
    run = act("fork", FIT)
    assert run.exit_code == 0, run.log
    return run


def test_a_fork_without_aws_trains_promotes_and_ships_an_image(fork):
    """The sample and the job's own S3 server are enough; the log tells the verdict and the container's answer."""
    outcome, log = fork.outcome, said(fork)
    assert outcome["promoted"]
    assert outcome["champion"] == outcome["challenger"]
    assert f"## Retraining: `{outcome['challenger']}` promoted" in log
    assert "| average precision |" in log
    assert f'"model_version": "{outcome["champion"]}"' in log
    assert fork.image.name == f"image-{outcome['champion']}"


@pytest.mark.parametrize("ci", [{"conclusion": "failure"}, {"event": "pull_request"}], ids=["red", "a pull request's"])
def test_what_ci_did_not_find_good_on_main_is_not_retrained(act, ci):
    """Nothing is checked out and nothing kept: not of a red ci, nor of a pull request from a branch called main."""
    run = act(f"not-{'-'.join(ci)}", FIT, **ci)
    assert run.exit_code == 0, run.log
    assert "checkout" not in run.log
    assert not run.artifacts.exists()


def test_what_ci_tested_is_retrained_and_not_what_came_since(fork, act):
    """The commit that is on main by then cannot be run; the image is made of the tested one."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=act.checkout, check=True, capture_output=True, text=True)
    assert head.stdout.strip() != act.tested
    assert fork.outcome["promoted"]
    assert "this commit was not tested" not in fork.log


def test_an_image_of_a_sample_is_called_synthetic(fork):
    """In a registry its tag never looks like that of a model trained on real transactions."""
    assert f"::set-output:: tag=synthetic-{fork.outcome['champion']}" in fork.log


def test_the_shipped_image_answers_the_sample_request(fork, act, tmp_path):
    """Started by the test itself once more, it serves the champion of that run."""
    version = fork.outcome["champion"]
    with Container(act.engine, f"fraud_detector:{version}", free_port(), tmp_path) as container:
        check_answers(container.url, version)


def test_image_and_list_of_its_parts_are_kept_for_the_job_that_pushes(fork):
    """image.tar is an image; the CycloneDX list names the model, a Python package and a Debian one."""
    with tarfile.open(fork.image / "image.tar") as archive:
        assert "manifest.json" in archive.getnames()
    listed = json.loads((fork.image / "sbom.cdx.json").read_text())
    assert listed["bomFormat"] == "CycloneDX"
    found = {(item["type"], item["name"]) for item in listed["components"]}
    assert {("machine-learning-model", "fraud_detector"), ("library", "bentoml"), ("library", "libc6")} <= found
    assert ("library", "scikit-learn") not in found


def test_the_jobs_own_s3_server_is_gone_afterwards(fork):
    """Nothing of the run is left running on the machine."""
    pid = int(re.search(r"s3 server pid (\d+)", said(fork)).group(1))
    assert not Path(f"/proc/{pid}").exists()


@pytest.fixture(scope="module")
def standing(s3, tmp_path_factory):
    """Commands on an S3 with a champion, and the champion's version."""
    command = Commands(tmp_path_factory.mktemp("standing") / "home", {**s3.env, "FRAUD_S3_URI": f"s3://{BUCKET}/act"})
    code, outcome, error = command("retrain", "--data", SOURCE, *FIT)
    assert code == 0, error
    return command, outcome["champion"]


@pytest.fixture(scope="module")
def spoiled(act, standing, s3, tmp_path_factory):
    """A run on the repository's S3, with labels shuffled but for the held-out rows."""
    dataset = load([SOURCE], default())
    train = np.setdiff1d(np.arange(dataset.size), split.split(dataset, "stratified").test)
    labels = dataset.labels.copy()
    labels[train] = np.random.default_rng(0).permutation(labels[train])
    path = tmp_path_factory.mktemp("spoiled") / "spoiled.parquet"
    pd.DataFrame(dataset.rows, columns=COLUMNS).assign(**{LABEL: labels}).to_parquet(path)
    variables = {"FRAUD_S3_URI": f"s3://{BUCKET}/act", "AWS_ENDPOINT_URL_S3": s3.url, "AWS_REGION": REGION}
    secrets = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    run = act("spoiled", ("--data", path, *FIT), variables, secrets)
    assert run.exit_code == 0, run.log
    return run


def test_a_refused_challenger_leaves_the_champion_and_the_run_green(spoiled, standing):
    """The summary says refused and why; S3 has the champion of before."""
    command, champion = standing
    outcome = spoiled.outcome
    assert not outcome["promoted"]
    assert outcome["champion"] == champion != outcome["challenger"]
    assert f"## Retraining: `{outcome['challenger']}` refused" in said(spoiled)
    assert "| **REFUSED** | average_precision floor |" in said(spoiled)
    assert command("list")[1]["champion"] == champion


def test_after_a_refusal_the_image_holds_the_standing_champion(spoiled, standing):
    """Built, run and asked in the same run: its answer names the champion."""
    assert spoiled.image.name == f"image-{standing[1]}"
    assert f'"model_version": "{standing[1]}"' in said(spoiled)


def test_no_secret_is_in_the_log(spoiled):
    """Neither key of the repository's S3 is printed."""
    assert ACCESS_KEY not in spoiled.log
    assert SECRET_KEY not in spoiled.log
