"""Rules, promtool's input and the runbook name series, labels, values and commands that there are.

promtool takes any series: a label misspelt in a rule and in its test alike would pass there and never fire.
"""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from fraud.inputs.cuts import MISSING, NUMBERED, REST, UNSEEN
from fraud.profile import SCORE
from monitoring import __main__ as monitoring_program
from monitoring.access_metrics import GUARDED
from monitoring.metrics import DECISIONS, REASONS, FraudMetrics
from monitoring.quality import OUTCOMES
from monitoring.record_metrics import LOST
from tests.monitoring.test_rules import ALERTS, BUILTIN, MONITORING, PROMETHEUS, RECORDED, RULES, WORDS, published
from tests.ulb import COLUMNS
from training import __main__ as training_program

RUNBOOK = (MONITORING / "runbook.md").read_text()
SELECTOR = re.compile(r"\b((?:fraud[_:]|bentoml_|up\b)[a-z0-9_:]*)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
FOREIGN = {"unrelated", 'up{job="other",instance="a:1"}'}
"""Input that stands for what is not ours."""
APART = {"namespace", "environment", "cluster"}
"""Labels of a scrape that tell one service from another: kept by every rule."""
ADDED = {"instance", "job", "pod", *APART}
"""Labels that Prometheus adds to what it scrapes."""
VALUES = {
    "decision": set(DECISIONS),
    "outcome": set(OUTCOMES),
    "figure": {"precision", "recall"},
    "bound": {"value", "low", "high"},
    "bin": {*NUMBERED, MISSING, REST, UNSEEN, "AT", "DE", "web"},
    "synthetic": {"true", "false"},
    "path": set(GUARDED),
    "job": {"fraud-detector", "kubernetes-pods"},
}
REASONS_OF = {"fraud_prediction_errors_total": set(REASONS), "fraud_log_dropped_total": set(LOST)}


def labels():
    """The names of each metric's labels, as the service publishes it, and of what is recorded."""
    registry = CollectorRegistry()
    FraudMetrics(5, registry)
    known = {
        name: set(collector._labelnames)  # prometheus_client tells them nowhere else while there is no series
        for collector, names in registry._collector_to_names.items()
        for name in names
    }
    buckets = {name for name in known if name.endswith("_bucket")}
    recorded = {name: {"model_version", "feature"} for name in RECORDED if name.startswith("fraud:feature_")}
    return known | {name: known[name] | {"le"} for name in buckets} | recorded | {"up": set()}


LABELS = labels()


def problems(text):
    """What the selectors in ``text`` ask for that there is not."""
    found = []
    for name, matchers in SELECTOR.findall(text):
        for label, operator, value in MATCHER.findall(matchers):
            if label not in LABELS.get(name, set()) | ADDED:
                found.append(f"{name} has no label {label}")
            allowed = REASONS_OF.get(name) if label == "reason" else VALUES.get(label)
            if allowed is not None:
                asked = _alternatives(value) if "~" in operator else [value]
                found += [f"{name}: {label} is never {one}" for one in asked if one not in allowed]
    return found


def _alternatives(value):
    """``a|b`` and ``(a|b)_c``, which is all that the rules use."""
    group = re.fullmatch(r"\(([\w|]+)\)(\w*)", value)
    return [one + group[2] for one in group[1].split("|")] if group else value.split("|")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_selects_by_labels_that_there_are(rule):
    """A selector's labels are the metric's, and their values are among those that the service writes."""
    assert problems(rule["expr"]) == []


def merged(expr):
    """Aggregations and matchings in ``expr`` that put several services of one Prometheus together."""
    kept = re.findall(r"\b(?:by|on) \(([^)]*)\)", expr)
    return [*(labels for labels in kept if not set(labels.split(", ")) >= APART), *BARE.findall(expr)]


BARE = re.compile(r"\b(?:sum|min|max|count|avg|group)(?: without)? ?\(")
NOWHERE = 'absent(up{job="fraud-detector"}) unless on () '
"""Whether there is any service at all is asked of all of Prometheus."""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_keeps_the_labels_that_tell_services_apart(rule):
    """Staging and production in one Prometheus are neither added up nor compared with each other."""
    assert merged(rule["expr"].replace(NOWHERE, "")) == []


@pytest.mark.parametrize(
    "expr",
    ["sum(a)", "max by (instance) (a)", "sum without (job) (a)", "a and on () b", "sum by (namespace, cluster) (a)"],
)
def test_what_merges_services_is_noticed(expr):
    """The check itself."""
    assert merged(expr) != []


@pytest.mark.parametrize("path", sorted((PROMETHEUS / "tests").glob("*.yml")), ids=lambda path: path.stem)
def test_promtool_is_fed_what_the_service_publishes(path):
    """Each input series is published, with the labels and values that it has there."""
    document = yaml.safe_load(path.read_text())
    series = {one["series"] for test in document["tests"] for one in test["input_series"]} - FOREIGN
    names = {re.split(r"[{\s]", one)[0] for one in series}
    assert names <= published() | BUILTIN | {"up"}
    assert {one: problems(one) for one in series if problems(one)} == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('fraud_prediction_errors_total{reason=~"internal|overload"}', "reason is never overload"),
        ('fraud_log_dropped_total{reason="internal"}', "reason is never internal"),
        ('fraud_live_transactions{outcome=~"(true|fals)_positive"}', "outcome is never fals_positive"),
        ('fraud_feature_reference_ratio{bin="unseen"}', "bin is never unseen"),
        ('fraud_predictions_total{kind="fraud"}', "has no label kind"),
        ('fraud:feature_psi:1h{bin="1"}', "has no label bin"),
    ],
)
def test_what_there_is_not_is_noticed(text, said):
    """The check itself: each is one letter or one label away from a selector of the rules."""
    [problem] = problems(text)
    assert said in problem


def test_a_feature_that_a_rule_or_a_test_names_is_one():
    """The score, the model's inputs, ``hour`` which is made of Time; ``f`` and three categories stand for any."""
    texts = [path.read_text() for path in PROMETHEUS.rglob("*.yml")]
    named = {name for text in texts for name in re.findall(r'feature!?="([^"]+)"', text)}
    assert named <= {SCORE, "hour", "f", "country", "channel", "merchant", *COLUMNS}
    assert SCORE in named


def test_the_runbook_names_what_there_is():
    """Metrics and recorded series by the names that a query finds, alerts by theirs."""
    words = set(WORDS.findall(RUNBOOK)) - {"fraud_detector:"}  # the model's name
    assert words <= published() | RECORDED | BUILTIN
    assert set(re.findall(r"\bFraud[A-Z]\w+", RUNBOOK)) <= set(ALERTS)


PARSERS = {"training": training_program.parser, "monitoring": monitoring_program.parser}


def commands():
    """Commands that the runbook quotes, of verbs that there are; that all are is checked with the README."""
    found = re.findall(r"`python -m (training|monitoring) ([^`]+)`", RUNBOOK)
    return sorted({(name, " ".join(words.split())) for name, words in found if words.split()[0] in verbs(name)})


def verbs(name):
    [group] = [action for action in PARSERS[name]()._actions if action.choices]
    return set(group.choices)


@pytest.mark.parametrize(("name", "words"), commands())
def test_a_command_of_the_runbook_is_taken(name, words, capsys):
    """Its options and what they need: as they stand, with a number for N."""
    arguments = ["7" if word == "N" else word for word in shlex.split(words)]
    try:
        PARSERS[name]().parse_args(arguments)
    except SystemExit:
        pytest.fail(capsys.readouterr().err)


def test_the_runbooks_verbs_of_training_exist():
    """Those of monitoring are checked with the README's."""
    named = set(re.findall(r"python -m training (\w+)", RUNBOOK))
    assert {"list", "pull", "retrain", "rollback"} <= named <= verbs("training")


def test_the_runbook_links_to_pages_that_there_are():
    """Pages are named as from the repository's root."""
    root = Path(__file__).parents[2]
    for page in re.findall(r"\bdocs/[\w-]+\.md", RUNBOOK):
        assert (root / page).exists(), page
