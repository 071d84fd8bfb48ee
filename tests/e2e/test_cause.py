"""What an event says of its cause reaches the run's summary as text, and no shell: a step of retrain.yml under act."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.components import require
from tests.e2e.test_workflows import RUNNERS_OWN, copy_checkout
from tests.test_workflows import read

pytestmark = pytest.mark.e2e

TEXT = "$(touch pwned) `touch pwned`\"; touch pwned; ' ${{ github.token }} <b>\n::error::forged"
SHOWN = "- summary: $(touch pwned) `touch pwned`\"; touch pwned; ' ${{ github.token }} <b> ::error::forged"
OUTCOME = {
    "challenger": "new",
    "champion": None,
    "promoted": True,
    "verdict": {"passed": True, "reasons": [], "figures": {}},
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout whose retrain.yml has the trigger and, of its steps, the checkout and the one that tells."""
    folder = tmp_path_factory.mktemp("cause") / "checkout"
    copy_checkout(folder)
    path = folder / ".github" / "workflows" / "retrain.yml"
    workflow = read(path)
    job = workflow["jobs"]["retrain"]
    told = [step for step in job["steps"] if step.get("id") == "verdict"]
    assert len(told) == 1
    first = {"run": "cp given.json retrain.json"}
    last = {"run": "ls; python -c 'import os; print(open(os.environ[\"GITHUB_STEP_SUMMARY\"]).read())'"}
    checkout = {**job["steps"][0], "with": {}}  # act's own, of what is there
    job["steps"] = [checkout, first, *told, last]
    del workflow["concurrency"]["queue"]  # which act does not know yet
    path.write_text(yaml.safe_dump({**workflow, "jobs": {"retrain": {**job, "outputs": {}}}}))
    (folder / "given.json").write_text(json.dumps(OUTCOME))
    return folder


def act(checkout, event, payload, tmp_path):
    """The log of one run."""
    (tmp_path / "event.json").write_text(json.dumps(payload))
    command = [require("act"), event, "--eventpath", str(tmp_path / "event.json")]
    command += ["--workflows", ".github/workflows/retrain.yml", "--platform", "ubuntu-latest=-self-hosted"]
    command += ["--no-cache-server", "--action-cache-path", str(tmp_path / "cache")]
    env = {name: value for name, value in os.environ.items() if not name.startswith(RUNNERS_OWN)}
    env |= {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": f"{Path(sys.prefix) / 'bin'}:{env['PATH']}"}
    done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_events_text_is_shown_and_not_run(checkout, tmp_path):
    """Words of a shell, of an expression and of the runner are shown as they were sent, on one line."""
    payload = {"action": "retrain", "client_payload": {"alert": "FraudScoreDrift", "summary": TEXT}}
    log = act(checkout, "repository_dispatch", payload, tmp_path)
    assert "- alert: FraudScoreDrift" in log
    assert SHOWN in log.replace("\\", "")
    assert not any(line.endswith("| pwned") for line in log.splitlines())
    assert list(tmp_path.rglob("pwned")) == list(checkout.rglob("pwned")) == []
    assert not any("::error::" in line and "summary" not in line for line in log.splitlines())


def test_a_push_names_no_cause(checkout, tmp_path):
    """Also when the event of its ci carries something of that name."""
    ran = {"conclusion": "success", "event": "push"}
    payload = {"workflow_run": ran, "client_payload": {"alert": "FraudScoreDrift"}}
    log = act(checkout, "workflow_run", payload, tmp_path)
    assert "## Retraining: `new` promoted" in log
    assert "Started by" not in log
