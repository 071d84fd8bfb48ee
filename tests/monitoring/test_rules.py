"""Rules, their tests and the runbook are one: each alert is explained, tested both ways, and asks for what exists."""

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from monitoring.metrics import FraudMetrics

MONITORING = Path(__file__).parents[2] / "monitoring"
PROMETHEUS = MONITORING / "prometheus"
RULES = [
    rule
    for path in sorted((PROMETHEUS / "rules").glob("*.yml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
BUILTIN = {
    f"bentoml_service_{name}"
    for name in (
        "request_total",
        "request_in_progress",
        *(f"request_duration_seconds_{part}" for part in ("bucket", "sum", "count")),
        *(f"adaptive_batch_size_{part}" for part in ("bucket", "sum", "count")),
    )
}
WORDS = re.compile(r"\b(?:fraud|bentoml)[_:][a-z0-9_:]+")


def published():
    """Names that /metrics has, each with its suffixes."""
    registry = CollectorRegistry()
    FraudMetrics(5, registry)
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    return {family.name + suffix for family in registry.collect() for suffix in suffixes[family.type]}


def cases(kind):
    """Alerts that a promtool test expects to fire (or to stay silent)."""
    documents = [yaml.safe_load(path.read_text()) for path in (PROMETHEUS / "tests").glob("*.yml")]
    tests = [test for document in documents for test in document["tests"]]
    found = [case for test in tests for case in test.get("alert_rule_test", [])]
    return {case["alertname"] for case in found if bool(case["exp_alerts"]) is (kind == "firing")}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_tells_what_where_and_how_bad(name):
    """``for``, a severity that the routes know, summary, description, and its section of the runbook."""
    alert = ALERTS[name]
    assert re.fullmatch(r"\d+[mh]", alert["for"])
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    page, anchor = alert["annotations"]["runbook_url"].split("#")
    assert page.endswith("/monitoring/runbook.md")
    assert anchor == name.lower()


def test_the_runbook_has_a_section_for_each_alert_and_no_other():
    """A renamed alert renames its section."""
    assert sorted(re.findall(r"^## (\w+)$", (MONITORING / "runbook.md").read_text(), re.M)) == sorted(ALERTS)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_asks_for_what_there_is(rule):
    """Each metric in an expression is published by the service, BentoML's, or recorded here."""
    assert set(WORDS.findall(rule["expr"])) <= published() | RECORDED | BUILTIN


@pytest.mark.parametrize("kind", ["firing", "silent"])
def test_each_alert_is_tested_both_ways(kind):
    """promtool sees it fire, and sees it stay silent."""
    assert cases(kind) == set(ALERTS)


def test_only_alerts_about_the_model_may_start_retraining():
    """Retraining mends no server."""
    assert {name for name, alert in ALERTS.items() if alert["labels"].get("retrain") == "true"} == {
        "FraudScoreDrift",
        "FraudFeatureDrift",
        "FraudModelTooOld",
        "FraudLivePrecisionFell",
    }


def test_the_routes_lead_to_receivers():
    """Every receiver that a route names is there, and what may retrain reaches the retraining receiver too."""
    document = yaml.safe_load((MONITORING / "alertmanager" / "alertmanager.yml").read_text())
    names = {receiver["name"] for receiver in document["receivers"]}
    routes = document["route"]["routes"]
    assert {document["route"]["receiver"], *(route["receiver"] for route in routes)} == names
    [retrain] = [route for route in routes if route["receiver"] == "retrain"]
    assert retrain["matchers"] == ['retrain="true"']
    assert retrain["continue"] is True
    inhibiting = re.findall(r'alertname=~?"([^"]+)"', str(document["inhibit_rules"]))
    assert {name for names in inhibiting for name in names.split("|")} <= set(ALERTS)


def test_a_refused_model_hides_its_own_consequences_only():
    """Missing workers are counted beside those that refuse, perhaps on another instance: both are told."""
    document = yaml.safe_load((MONITORING / "alertmanager" / "alertmanager.yml").read_text())
    inhibited = [rule for rule in document["inhibit_rules"] if "FraudModelRefused" in rule["source_matchers"][0]]
    assert [rule["target_matchers"] for rule in inhibited] == [['alertname=~"FraudNoTraffic|FraudErrorRatioHigh"']]


def test_alerts_of_one_service_are_neither_grouped_with_nor_hidden_by_those_of_another():
    """Grouping and inhibition know the labels that the rules keep."""
    document = yaml.safe_load((MONITORING / "alertmanager" / "alertmanager.yml").read_text())
    apart = {"namespace", "environment", "cluster"}
    assert set(document["route"]["group_by"]) >= apart
    assert all(set(rule["equal"]) == apart for rule in document["inhibit_rules"])


@pytest.mark.parametrize("folder", ["targets", "targets-compose"])
def test_both_sets_of_targets_have_what_the_configuration_reads(folder):
    """One service and one Alertmanager each."""
    text = (PROMETHEUS / "prometheus.yml").read_text()
    for name in re.findall(r"targets/(\w+\.yml)", text):
        [group] = yaml.safe_load((PROMETHEUS / folder / name).read_text())
        assert len(group["targets"]) == 1
