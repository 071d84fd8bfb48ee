"""The PrometheusRule is the rules: nothing else, and nothing less."""

import yaml

from monitoring.prometheus.kubernetes import RESOURCE, RULES, rendered


def test_the_resource_is_made_of_the_rules():
    """``python -m monitoring.prometheus.kubernetes`` would change nothing."""
    assert RESOURCE.read_text() == rendered(), "run `python -m monitoring.prometheus.kubernetes`"


def test_the_resource_holds_every_group():
    """As Prometheus reads them from the files, in one list, each name once."""
    groups = [group for path in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text())["groups"]]
    assert yaml.safe_load(rendered())["spec"]["groups"] == groups
    names = [group["name"] for group in groups]
    assert sorted(set(names)) == sorted(names)
