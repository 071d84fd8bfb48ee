"""The documents tell what there is: settings, metrics, commands, targets, endpoints."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from fraud.settings import SECRETS, Settings
from monitoring import __main__ as monitoring_program
from monitoring.metrics import REASONS, REFUSED, FraudMetrics
from tests.serving.decoding import Transaction
from training import __main__ as program

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
REFERENCE = (ROOT / "docs" / "reference.md").read_text()


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_is_explained_with_its_default(field):
    """One row a setting, with the default that the code has."""
    default, name = Settings.model_fields[field].default, Settings.model_fields[field].alias or field
    shown = "" if default is None else f"{default:g}" if isinstance(default, float) else str(default)
    row = next(line for line in REFERENCE.splitlines() if line.startswith(f"| `FRAUD_{name.upper()}` |"))
    assert row.split("|")[2].strip().strip("`") == shown


@pytest.mark.parametrize("name", SECRETS)
def test_the_file_of_each_secret_is_explained(name):
    """In a row of its own."""
    assert f"| `{name}_FILE` | | " in REFERENCE


def test_every_metric_is_explained():
    """Names as Prometheus shows them, with their labels' names."""
    registry = CollectorRegistry()
    FraudMetrics(5, registry)
    for family in registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        assert f"`{name}" in REFERENCE, name


def test_no_metric_is_explained_that_is_not_there():
    """A metric renamed in the code is renamed in the reference."""
    registry = CollectorRegistry()
    FraudMetrics(5, registry)
    known = {family.name + ("_total" if family.type == "counter" else "") for family in registry.collect()}
    table = REFERENCE.partition("## Metrics")[2]
    named = {
        name
        for line in table.splitlines()
        if line.startswith("| `fraud_")
        for name in re.findall(r"`(fraud_\w+)", line.split("|")[1])
    }
    assert named == known


def test_every_reason_is_explained():
    """Each label of the counters of errors and of what is refused unread."""
    for reason in (*REASONS, *REFUSED):
        assert f"`{reason}`" in REFERENCE, reason


def test_the_readme_is_short_and_says_what_the_reference_says():
    """Its tables of settings and metrics are rows of the reference's."""
    lines = README.splitlines()
    assert len(lines) < 350
    rows = [line for line in lines if line.startswith(("| `FRAUD_MODEL`", "| `FRAUD_WORKERS`", "| `fraud_"))]
    assert len(rows) > 5
    assert set(rows) <= set(REFERENCE.splitlines())


def test_the_commands_of_the_readme_exist():
    """Each ``python -m training VERB`` is a verb."""
    verbs = set(re.findall(r"python -m training (\w+)", README)) - {"VERB"}
    [group] = [action for action in program.parser()._actions if action.choices and "run" in action.choices]
    assert verbs <= set(group.choices)
    assert len(verbs) > 5


def test_the_monitoring_commands_of_the_documents_exist():
    """Each ``python -m monitoring VERB`` is a verb, in every page."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "monitoring").glob("*.md")]
    verbs = {verb for page in pages for verb in re.findall(r"python -m monitoring (\w+)", page.read_text())}
    [group] = [action for action in monitoring_program.parser()._actions if action.choices]
    assert verbs == set(group.choices)


def test_the_make_targets_of_the_documents_exist():
    """Each ``make TARGET`` is one, and each target explains itself."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z0-9]+):.*## ", makefile, re.M))
    assert {"help", "setup", "run", "test", "lint", "e2e", "bench", "build", "image", "clean"} <= targets
    for name in ("README.md", "CONTRIBUTING.md"):
        assert set(re.findall(r"^make ([a-z0-9]+)", (ROOT / name).read_text(), re.M)) <= targets


def test_the_sample_transaction_is_valid():
    """The request that the README sends is accepted."""
    Transaction.model_validate_json((ROOT / "sample_transaction.json").read_bytes())
    assert json.loads((ROOT / "sample_transaction.json").read_text())["Amount"] == 23


def test_relative_links_lead_somewhere():
    """No link to a file that is not there."""
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
