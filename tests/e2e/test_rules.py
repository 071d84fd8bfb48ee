"""Prometheus' and Alertmanager's own tools accept what we ship, and each rule does what its test says."""

import subprocess

import pytest

from tests.components import require
from tests.e2e.conftest import REPOSITORY

pytestmark = pytest.mark.e2e

PROMETHEUS = REPOSITORY / "monitoring" / "prometheus"
ALERTMANAGER = REPOSITORY / "monitoring" / "alertmanager"


def says(tool, *arguments):
    """What the tool prints; the test fails with it when the tool does."""
    done = subprocess.run([require(tool), *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_configuration_and_the_rules_are_valid():
    """promtool finds both rule files through the configuration."""
    assert "2 rule files found" in says("promtool", "check", "config", PROMETHEUS / "prometheus.yml")


@pytest.mark.parametrize("path", sorted((PROMETHEUS / "tests").glob("*.yml")), ids=lambda path: path.stem)
def test_the_rules_do_what_their_tests_say(path):
    """Recorded values as worked out by hand; each alert firing and staying silent."""
    assert "SUCCESS" in says("promtool", "test", "rules", path)


def test_alertmanager_accepts_its_configuration():
    """Routes, receivers and inhibitions."""
    assert "2 receivers" in says("amtool", "check-config", ALERTMANAGER / "alertmanager.yml")


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("severity=warning", "people"),
        ("severity=critical", "people"),
        ("severity=warning retrain=true", "retrain,people"),
        ("severity=critical retrain=true", "retrain,people"),
    ],
)
def test_alerts_reach_their_receivers(labels, receivers):
    """What may retrain reaches the receiver and people too."""
    route = ["config", "routes", "test", f"--config.file={ALERTMANAGER / 'alertmanager.yml'}", *labels.split()]
    assert says("amtool", *route).strip() == receivers
