"""The dashboard's file is what the generator gives, fits Grafana's types, and asks for nothing that does not exist."""

import importlib
import json
import math
import re
from pathlib import Path

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client import CollectorRegistry

from monitoring.grafana import dashboard, model_rows
from monitoring.grafana import queries as queries_of
from monitoring.grafana.panels import ALERT_AT, RUNBOOK
from monitoring.grafana.queries import DASHBOARD, filled, load, panels, queries
from monitoring.metrics import FraudMetrics

PROMETHEUS = Path(__file__).parents[2] / "monitoring" / "prometheus"
OF_BENTOML = {  # bentoml/_internal/server/http/instruments.py and runner metrics, as Prometheus shows them
    "bentoml_service_request_total",
    "bentoml_service_request_in_progress",
    "bentoml_service_adaptive_batch_size_bucket",
}
OF_PROMETHEUS = {"up", "ALERTS"}
WORDS = re.compile(
    r"\b(\w+\s+by|ignoring|on|without|group_left|group_right)\s*\([^)]*\)|\{[^}]*\}|\"[^\"]*\"|\[[^\]]*\]|\b\w+(?=\s*\()"
)

DOCUMENT = load()
PANELS = list(panels(DOCUMENT))
QUERIES = queries(DOCUMENT)
IDS = [f"{query.panel}-{number}" for number, query in enumerate(QUERIES)]


def rules():
    """Every rule of the rule files."""
    files = [yaml.safe_load(path.read_text()) for path in (PROMETHEUS / "rules").glob("*.yml")]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def metric_names(expr):
    """The names of metrics in a PromQL expression: what is left without functions, labels, texts and ranges."""
    left = WORDS.sub(" ", filled(expr))
    return set(re.findall(r"[a-zA-Z_][\w:]*", left)) - {"and", "or", "unless", "without", "bool", "offset"}


def known_names():
    """Everything that Prometheus knows when it scrapes the service with our rules."""
    registry = CollectorRegistry()
    FraudMetrics(5, registry)
    names = OF_BENTOML | OF_PROMETHEUS | {rule["record"] for rule in rules() if "record" in rule}
    for family in registry.collect():
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        names |= {family.name + ending for ending in endings}
    return names


def test_the_file_is_what_the_generator_gives():
    """Whoever changes the rows runs `python -m monitoring.grafana.dashboard`."""
    assert DASHBOARD.read_text() == dashboard.rendered(dashboard.build())


def test_the_file_is_written_whole(tmp_path, monkeypatch):
    """The command writes it under another name first and leaves nothing beside it."""
    monkeypatch.setattr(dashboard, "DASHBOARD", tmp_path / "fraud.json")
    dashboard.main()
    assert [path.name for path in tmp_path.iterdir()] == ["fraud.json"]
    assert (tmp_path / "fraud.json").read_text() == DASHBOARD.read_text()


def test_the_file_fits_grafanas_types():
    """Read through the SDK's types it comes out as it went in, so every field is one that Grafana knows."""
    again = json.loads(json.dumps(Dashboard.from_json(load()), cls=JSONEncoder))
    assert again == DOCUMENT
    assert DOCUMENT["schemaVersion"] == 41


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_each_panel_fits_the_type_of_its_kind(panel):
    """Its options and its fields' settings are those that the SDK has for this kind of panel."""
    kind = importlib.import_module(f"grafana_foundation_sdk.models.{panel['type']}")
    for name, given in (
        ("Options", panel.get("options")),
        ("FieldConfig", panel["fieldConfig"]["defaults"].get("custom")),
    ):
        if given is not None:
            assert json.loads(json.dumps(getattr(kind, name).from_json(given), cls=JSONEncoder)) == given


def test_data_source_services_window_and_model_version_are_variables():
    """In this order, with the windows to choose from, and each label that tells services apart."""
    variables = {variable["name"]: variable for variable in DOCUMENT["templating"]["list"]}
    assert {name: variable["type"] for name, variable in variables.items()} == {
        "datasource": "datasource",
        "namespace": "query",
        "environment": "query",
        "cluster": "query",
        "window": "interval",
        "model_version": "query",
    }
    assert variables["window"]["query"] == "5m,15m,1h,6h,1d"
    assert variables["datasource"]["query"] == "prometheus"


def test_everything_asks_the_chosen_data_source():
    """No panel, query or variable is tied to a data source of its own."""
    for asked in [*PANELS, *(target for panel in PANELS for target in panel["targets"])]:
        assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    asking = [one for one in DOCUMENT["templating"]["list"] if one["type"] == "query"]
    assert {one["datasource"]["uid"] for one in asking} == {"${datasource}"}


TOGETHER = {"Alerts firing", "Scores over time"}
"""A count of all, and a histogram over time, of which Grafana draws one."""


@pytest.mark.parametrize("query", QUERIES, ids=IDS)
def test_a_query_is_asked_of_the_chosen_services_and_for_each_by_itself(query):
    """Every series is chosen by each of the labels, and every aggregation keeps them."""
    selected = re.findall(r"\b(?:(?:fraud[_:]|bentoml_)[\w:]+|up|ALERTS)\b(?:\{([^}]*)\})?", query.expr)
    assert selected
    for name in queries_of.APART:
        assert all(f'{name}=~"${name}"' in one for one in selected)
    if query.panel not in TOGETHER:
        kept = re.findall(r"\b(?:sum|min|max|count)\b(?: by \(([^)]*)\))?", query.expr)
        assert all(set(one.split(", ")) >= set(queries_of.APART) for one in kept)


@pytest.mark.parametrize("query", QUERIES, ids=IDS)
def test_a_named_series_says_which_service_it_is_of(query):
    """Behind its name; nothing where a scrape sets no such label. Tables have the labels as columns."""
    bars = "series" in query.legend  # they have it in the name that the query makes
    if query.panel not in TOGETHER and query.legend != "__auto" and not bars:
        assert query.legend.endswith(" {{namespace}} {{environment}} {{cluster}}")


def test_ids_and_titles_are_unique_and_panels_do_not_overlap():
    """Grafana finds a panel by its id, people by its title; each has its own place on the grid of 24 columns."""
    ids = [panel["id"] for panel in DOCUMENT["panels"]]
    titles = [panel["title"] for panel in DOCUMENT["panels"]]
    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)
    cells = [
        (place["x"] + x, place["y"] + y)
        for place in (panel["gridPos"] for panel in DOCUMENT["panels"])
        for x in range(place["w"])
        for y in range(place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_each_panel_is_explained(panel):
    """It has a description, a unit unless it is a table, and something to ask."""
    assert len(panel["description"]) > 30
    assert panel["fieldConfig"]["defaults"].get("unit") or panel["type"] == "table"
    assert panel["targets"]


@pytest.mark.parametrize("query", QUERIES, ids=IDS)
def test_ranges_are_the_chosen_window(query):
    """A fixed window stands only in the name of a recorded series, never in a panel."""
    assert set(re.findall(r"\[([^\]]*)\]", query.expr)) <= {"$window"}
    assert "offset" not in query.expr
    assert "$" not in filled(query.expr).replace('"$1 served"', "").replace('"$1 reference"', "")


@pytest.mark.parametrize("query", QUERIES, ids=IDS)
def test_each_metric_exists(query):
    """What a panel asks for is exported by the service, recorded by a rule, BentoML's or Prometheus' own."""
    names = metric_names(query.expr)
    assert names
    assert names <= known_names()


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ('sum by (le) (rate(a_bucket{x="b"}[5m]))', {"a_bucket"}),
        ("a:b:c5m / ignoring (x) group_left () (d > 0)", {"a:b:c5m", "d"}),
        ('label_replace(a, "b", "$1 c", "d", "(.*)") or vector(0)', {"a"}),
        ("time() - max(a)", {"a"}),
        ('3600 * e and topk(10, max by (f, g) (h{i!="j"}))', {"e", "h"}),
    ],
)
def test_names_are_found(expr, names):
    """The test above would see a metric wherever it stands."""
    assert metric_names(expr) == names


@pytest.mark.parametrize("query", QUERIES, ids=IDS)
def test_ratios_are_not_averaged(query):
    """Over replicas counts are summed; an average of gauges would hide the one that is bad."""
    assert "avg" not in query.expr
    assert "fraud_rate" not in query.expr


def test_every_recorded_window_of_the_fraud_rate_and_every_drift_window_is_shown():
    """Of the recorded series only those that others are made of are missing."""
    shown = set().union(*(metric_names(query.expr) for query in QUERIES))
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert recorded - shown <= {"fraud:latency_seconds:p50_5m"}


def test_every_metric_of_ours_is_shown():
    """Directly, or by a rule that counts it."""
    asked = [query.expr for query in QUERIES] + [rule["expr"] for rule in rules() if "record" in rule]
    shown = set().union(*map(metric_names, asked))
    registry = CollectorRegistry()
    FraudMetrics(5, registry)
    ours = {family.name for family in registry.collect()}
    missing = {name for name in ours if not {name, f"{name}_total", f"{name}_bucket"} & shown}
    assert missing == {"fraud_rate"}  # one process's own; the panel divides the sums


@pytest.mark.parametrize("alert", ALERT_AT)
def test_lines_are_where_the_alerts_fire(alert):
    """The threshold drawn is the one in the alert's rule."""
    [rule] = [rule for rule in rules() if rule.get("alert") == alert]
    compared = re.findall(r"[<>]=? ([\d.]+(?: \* [\d.]+)*)", rule["expr"])
    assert any(math.isclose(math.prod(map(float, one.split(" * "))), ALERT_AT[alert]) for one in compared)


ALERTS = {rule["alert"]: rule["expr"] for rule in rules() if "alert" in rule}


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_panels_that_show_what_it_judges(alert):
    """They link to its section of the runbook, and show every series that its rule takes from the recorded ones."""
    url = f"{RUNBOOK}#{alert.lower()}"
    linked = [panel for panel in PANELS if url in [link["url"] for link in panel.get("links", ())]]
    assert linked
    shown = {name for panel in linked for target in panel["targets"] for name in metric_names(target["expr"])}
    assert {name for name in metric_names(ALERTS[alert]) if name.startswith("fraud:")} <= shown


def test_links_lead_to_alerts_that_exist():
    """Each runbook link of a panel names an alert's section."""
    links = [link["url"] for panel in PANELS for link in panel.get("links", ())]
    assert {link.removeprefix(f"{RUNBOOK}#") for link in links} == set(map(str.lower, ALERTS))
    assert [link["url"] for link in DOCUMENT["links"]] == [RUNBOOK]


@pytest.mark.parametrize("title", ["Score drift", "Score drift over time"])
def test_the_scores_drift_is_shown_over_an_hour_and_a_day(title):
    """Of the score alone; where an hour has too few transactions the day is what there is."""
    [panel] = [panel for panel in PANELS if panel["title"] == title]
    asked = " ".join(target["expr"] for target in panel["targets"])
    assert set(re.findall(r'fraud:feature_psi:(\w+)\{feature="score"', asked)) == {"1h", "1d"}


def test_the_scores_bins_are_worded_by_their_edges():
    """From 0 to 1, without a gap."""
    names = list(model_rows.bin_names().values())
    assert (names[0], names[-1]) == ("0 to 0.005", "0.8 to 1")
    assert [name.split(" to ")[1] for name in names[:-1]] == [name.split(" to ")[0] for name in names[1:]]
