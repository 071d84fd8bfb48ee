"""The workflows keep the house rules: least rights, pinned actions, limits, short steps, and commands that exist."""

import argparse
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from fraud.settings import Settings
from monitoring.receiver.github import EVENT_TYPE
from tests.components import require
from tests.components.require import INSTALL
from training import __main__ as program

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))
ACTIONS = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))


def read(path):
    """The document; ``on``, which YAML 1.1 takes for true, is named again."""
    document = yaml.safe_load(path.read_text())
    return {"on" if key is True else key: value for key, value in document.items()}


def as_act_knows_it(text):
    """Without GitHub's queue of 2026, which act refuses as unknown."""
    return text.replace("  cancel-in-progress: false\n  queue: max\n", "  cancel-in-progress: false\n")


def jobs(path):
    return list(read(path)["jobs"].items())


def steps(path):
    document = read(path)
    holders = document["jobs"].values() if "jobs" in document else [document["runs"]]
    return [step for holder in holders for step in holder.get("steps", [])]


def runs():
    """Each ``run:`` block of every workflow and action, with its place."""
    for path in WORKFLOWS + ACTIONS:
        for step in steps(path):
            if "run" in step:
                yield pytest.param(step["run"], id=f"{path.parent.name}/{path.name}: {step.get('name', step['run'])}")


def uses():
    """Each ``uses:`` line as it is written, with its comment."""
    for path in WORKFLOWS + ACTIONS:
        for line in path.read_text().splitlines():
            if found := re.match(r"\s*(?:- )?uses: (.*)", line):
                yield pytest.param(found[1], id=f"{path.parent.name}/{path.name}: {found[1].partition('@')[0]}")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_nothing_is_permitted_until_a_job_asks(path):
    """``permissions: {}`` on top, and each job names its own."""
    assert read(path)["permissions"] == {}
    assert all("permissions" in job for _, job in jobs(path))


def test_only_publishing_may_write_packages():
    """No job that runs our code or PyPI's has a token that writes anything but its identity."""
    for path in WORKFLOWS:
        for name, job in jobs(path):
            writes = {scope for scope, right in job["permissions"].items() if right == "write"} - {"id-token"}
            assert not writes or name == "publish", (path.name, name)


def test_publishing_runs_no_command_of_ours():
    """The one job with those rights checks out nothing and starts nothing but the container engine."""
    publish = ROOT / ".github" / "workflows" / "publish.yml"
    assert "actions/checkout" not in publish.read_text()
    assert not any(re.search(r"python|make|pip|docker run", step.get("run", "")) for step in steps(publish))


@pytest.mark.parametrize("used", list(uses()))
def test_an_action_of_others_is_pinned_by_its_commit(used):
    """Forty hexadecimal digits and the version in a comment; our own come from the checked-out commit."""
    assert used.startswith("./") or re.fullmatch(r"[\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used)


def test_one_action_has_one_pin():
    """The same action is the same commit everywhere."""
    pins = {tuple(param.values[0].split("@", 1)) for param in uses() if "@" in param.values[0]}
    assert len({action for action, _ in pins}) == len(pins)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_checkout_leaves_no_credentials(path):
    """The token does not stay in .git/config."""
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_job_has_a_limit_in_time(path):
    """A job that calls a workflow takes that one's limits."""
    for name, job in jobs(path):
        assert job.get("timeout-minutes", 0) > 0 or job.get("uses", "").startswith("./"), name


def test_two_retrains_never_overlap():
    """One group whatever the branch or event; a running one is not cut off, one that waits is not thrown out."""
    assert read(ROOT / ".github/workflows/retrain.yml")["concurrency"] == {
        "group": "retrain",
        "cancel-in-progress": False,
        "queue": "max",
    }


def test_retraining_starts_after_ci_weekly_by_alert_and_by_hand():
    """On main alone; the receiver's event alone; and a button. Never on a push, which nobody has tested yet."""
    on = read(ROOT / ".github/workflows/retrain.yml")["on"]
    assert set(on) == {"workflow_run", "schedule", "repository_dispatch", "workflow_dispatch"}
    assert on["workflow_run"] == {"workflows": ["ci"], "types": ["completed"], "branches": ["main"]}
    assert on["repository_dispatch"] == {"types": [EVENT_TYPE]}
    assert re.fullmatch(r"\d+ \d+ \* \* [0-7]", on["schedule"][0]["cron"])


def test_retraining_asks_for_approval_where_the_repository_says_so():
    """The variable reaches the one step that could promote; without it nothing is set, and the default holds."""
    [step] = [
        step for step in steps(ROOT / ".github/workflows/retrain.yml") if "training retrain" in step.get("run", "")
    ]
    assert step["env"]["FRAUD_RETRAIN_APPROVAL"] == "${{ vars.RETRAIN_APPROVAL }}"
    assert Settings.from_env({"FRAUD_RETRAIN_APPROVAL": ""}).retrain_approval == "auto"


def test_what_was_pushed_is_retrained_when_ci_found_it_good():
    """The name is ci's; its conclusion and event are looked at, as a fork's branch may be called main; its very commit
    is checked out."""
    assert read(ROOT / ".github/workflows/ci.yml")["name"] == "ci"
    job = read(ROOT / ".github/workflows/retrain.yml")["jobs"]["retrain"]
    run = "github.event.workflow_run"
    assert job["if"] == (
        f"github.event_name != 'workflow_run' || ({run}.conclusion == 'success' && {run}.event == 'push')"
    )
    checkout = next(step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@"))
    assert checkout["with"]["ref"] == f"${{{{ {run}.head_sha || github.sha }}}}"


def test_ci_and_the_bare_machine_install_the_same_packages():
    """By the one list, which has each package that a test asks for."""
    packages = (ROOT / ".ci" / "packages").read_text()
    ci = ROOT / ".github/workflows/ci.yml"
    assert ".ci/packages" in [step.get("run") for step in steps(ci)]
    assert "phase packages .ci/packages\n" in (ROOT / ".ci" / "run").read_text()
    assert not any("apt-get" in path.read_text() for path in (ci, ROOT / ".ci" / "run"))
    wanted = {words.removeprefix("apt-get install ") for words in INSTALL.values() if words.startswith("apt-get")}
    assert wanted <= set(re.findall(r"missing\+=\(([\w-]+)\)", packages))


def test_an_image_is_pushed_under_the_tag_that_its_build_gives():
    """Which says whether the model was trained on generated rows; nothing is pushed under a bare version."""
    for name in ("retrain", "release"):
        publish = read(ROOT / f".github/workflows/{name}.yml")["jobs"]["publish"]
        assert publish["with"]["tag"] == f"${{{{ needs.{publish['needs']}.outputs.tag }}}}"
    script = next(step["run"] for step in steps(ROOT / ".github/workflows/publish.yml") if "docker push" in str(step))
    assert re.findall(r'docker push --quiet "([^"]*)"', script) == ["$name:$TAG"]


def test_the_closing_job_waits_for_every_other():
    """It runs always and needs each job of ci, so that branch protection names one check."""
    named = dict(jobs(ROOT / ".github/workflows/ci.yml"))
    closing = named.pop("ci")
    assert closing["if"] == "always()"
    assert set(closing["needs"]) == set(named)


@pytest.mark.parametrize("script", list(runs()))
def test_a_step_is_at_most_five_lines(script):
    """A longer one is a missing command."""
    assert len(script.strip().splitlines()) <= 5


@pytest.mark.parametrize("script", list(runs()))
def test_no_expression_is_pasted_into_a_shell(script):
    """What a person typed comes through the environment, never as part of the script; no secret does."""
    assert "${{" not in script
    assert "secrets" not in script


def test_secrets_go_to_the_action_that_signs_in_alone():
    """No step, job or workflow has one in its environment."""
    for path in WORKFLOWS + ACTIONS:
        for step in steps(path):
            if "secrets." in str(step):
                assert step["uses"].startswith("aws-actions/configure-aws-credentials@")
                assert "secrets." not in str({key: value for key, value in step.items() if key != "with"})
        assert "secrets: inherit" not in path.read_text()


def test_every_target_and_verb_that_a_step_calls_exists():
    """make targets are in the Makefile, verbs are in the program's help."""
    scripts = "\n".join(param.values[0] for param in runs())
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    groups = [action for action in program.parser()._actions if isinstance(action, argparse._SubParsersAction)]
    assert set(re.findall(r"\bmake (\w+)", scripts)) - targets == set()
    assert set(re.findall(r"python -m training (\w+)", scripts)) - set(groups[0].choices) == set()


def test_actions_that_act_cannot_fetch_have_a_stand_in():
    """Each action of the retrain job is in tests/e2e/actions with the inputs used."""
    for path in [ROOT / ".github/workflows/retrain.yml", *ACTIONS]:
        for step in steps(path):
            name, _, reference = step.get("uses", "./").partition("@")
            if reference:
                stand_in = ROOT / "tests" / "e2e" / "actions" / name.partition("/")[2] / "action.yml"
                assert set(step["with"]) <= set(read(stand_in)["inputs"]), name


def test_updates_wait_a_week_and_leave_alone_what_is_pinned_by_hand():
    """Each place that dependabot looks at is there; a package that moves on purpose only is in requirements/*.in."""
    updates = read(ROOT / ".github" / "dependabot.yml")["updates"]
    assert {one["package-ecosystem"] for one in updates} == {"pip", "github-actions", "docker-compose"}
    for one in updates:
        assert one["cooldown"]["default-days"] >= 7
        for folder in one.get("directories", [one.get("directory")]):
            assert (ROOT / folder.lstrip("/")).is_dir(), folder
    pinned = re.compile(r"^([\w-]+)==", re.MULTILINE)
    by_hand = {name for path in (ROOT / "requirements").glob("*.in") for name in pinned.findall(path.read_text())}
    assert {ignored["dependency-name"] for ignored in updates[0]["ignore"]} == by_hand


def test_every_package_is_looked_up_among_known_vulnerabilities():
    """`make audit` reads files that together hold every pin, and a workflow calls it every day."""
    recipe = (ROOT / "Makefile").read_text().partition("\naudit: ")[2].partition("\n\n")[0]
    looked_up = {ROOT / name for name in re.findall(r"--requirement (\S+)", recipe)}
    pins = {path: set(re.findall(r"^\S+==\S+", path.read_text(), re.MULTILINE)) for path in REQUIREMENTS}
    assert set.union(*pins.values()) == set.union(*(pins[path] for path in looked_up))
    audit = ROOT / ".github/workflows/audit.yml"
    assert "make audit" in [step.get("run") for step in steps(audit)]
    assert re.fullmatch(r"\d+ \d+ \* \* \*", read(audit)["on"]["schedule"][0]["cron"])


def test_zizmor_finds_nothing():
    """Its audits of GitHub Actions; what is ignored has its reason beside it."""
    words = [require("zizmor"), "--offline", "--no-progress", "--quiet", ROOT / ".github"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_act_accepts_the_workflow(path, tmp_path):
    """Its strict schema knows keys, types and which expressions may stand where, but not yet GitHub's queue of 2026."""
    known = tmp_path / path.name
    known.write_text(as_act_knows_it(path.read_text()))
    done = subprocess.run([require("act"), "--validate", "--strict", "-W", known], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
