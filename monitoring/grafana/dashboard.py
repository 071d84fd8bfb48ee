"""Generates Grafana's dashboard. ``python -m monitoring.grafana.dashboard`` writes dashboards/fraud.json.

Grafana reads that file, never this module; a test holds the two together.
"""

import json

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    RowPanel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from fraud.atomic import replacing
from monitoring.grafana import access_rows, drift_rows, history_rows, model_rows, service_rows
from monitoring.grafana.panels import RUNBOOK, SOURCE
from monitoring.grafana.queries import APART, DASHBOARD, of_chosen

WINDOWS = ("5m", "15m", "1h", "6h", "1d")
ROWS = (
    service_rows.now,
    service_rows.traffic,
    service_rows.errors,
    access_rows.access,
    model_rows.fraud,
    model_rows.scores,
    drift_rows.drift,
    model_rows.quality,
    model_rows.model,
    service_rows.workers,
    history_rows.histories,
    service_rows.alerts,
)


def build() -> Dashboard:
    """The dashboard, with a number for each panel in the order of the rows."""
    page = dashboard.Dashboard("Fraud detector").uid("fraud-detector").tags(["fraud-detector"]).readonly()
    page.description("The fraud-detection service: traffic, errors, fraud rate, drift, live quality, model, workers.")
    page.time("now-6h", "now").refresh("30s").timezone("browser").tooltip(DashboardCursorSync.CROSSHAIR)
    runbook = dashboard.DashboardLink("Runbook").type(DashboardLinkType.LINK).icon("doc").url(RUNBOOK)
    page.link(runbook.target_blank(True))
    page.variables([_datasource(), *map(_apart, APART), _window(), _model_version()])
    for row in ROWS:
        title, panels = row()
        page.with_row(dashboard.Row(title))
        for panel in panels:
            page.with_panel(panel)
    document = page.build()
    for number, one in enumerate(document.panels or (), start=1):
        one.id_val = number
        if isinstance(one, RowPanel):
            one.panels = []
    return document


def _datasource() -> dashboard.DatasourceVariable:
    source = dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    return source.description("The Prometheus that scrapes the service.")


def _window() -> dashboard.IntervalVariable:
    first = WINDOWS[0]
    window = dashboard.IntervalVariable("window").label("Window").values(",".join(WINDOWS))
    window.options([VariableOption(one == first, one, one) for one in WINDOWS])
    window.description("What rates, shares and quantiles are taken over. Panels with a fixed window say so.")
    return window.current(VariableOption(True, first, first))


def _apart(label: str) -> dashboard.QueryVariable:
    text = f"Which services all panels show, by the label {label} of their scrape. All: also those without one."
    return _choice(label, label.capitalize(), f"label_values(fraud_workers_ready, {label})", text)


def _model_version() -> dashboard.QueryVariable:
    text = "Which versions the panels about scores, drift and live quality show."
    return _choice("model_version", "Model version", of_chosen("label_values(fraud_model_info, model_version)"), text)


def _choice(name: str, label: str, query: str, text: str) -> dashboard.QueryVariable:
    choice = dashboard.QueryVariable(name).label(label).datasource(SOURCE).description(text)
    choice.query(query).refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)
    choice.multi(True).include_all(True).all_value(".*")
    return choice.current(VariableOption(True, ["All"], ["$__all"]))


def rendered(document: Dashboard) -> str:
    """The text of the file."""
    return json.dumps(document, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Write the file, whole or not at all."""
    with replacing(DASHBOARD) as part:
        part.write_text(rendered(build()))


if __name__ == "__main__":
    main()
