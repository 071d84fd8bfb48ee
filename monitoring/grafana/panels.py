"""The kinds of panels that the dashboard has, as builders of Grafana's foundation SDK.

Each panel says in its description what it shows and what is bad. A panel that belongs to an alert draws the alert's
threshold and links to its section in the runbook.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import barchart, common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from monitoring.grafana.queries import APART, kept_apart, of_chosen

SOURCE = DataSourceRef("prometheus", "${datasource}")
RUNBOOK = "https://github.com/OWNER/REPO/blob/main/monitoring/runbook.md"  # put your repository in place of OWNER/REPO
OF_MODEL = 'model_version=~"$model_version"'

ALERT_AT = {
    "FraudErrorRatioHigh": 0.01,
    "FraudLatencyHigh": 0.25,
    "FraudShedding": 0.001,
    "FraudLongPath": 0.5,
    "FraudUnauthorizedCalls": 20,
    "FraudScoreDrift": 0.2,
    "FraudFeatureDrift": 0.2,
    "FraudHistoryMemory": 0.85,
    "FraudModelTooOld": 35 * 86_400,
    "FraudHistoryLabelsLate": 0.5,
    "FraudLivePrecisionFell": 0.8,
}
"""The thresholds that prometheus/rules/alerts.yml has; a test compares."""

Step = tuple[float, str]
NEUTRAL: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Query:
    """A PromQL expression and what its series are called: ``{{label}}`` stands for the label's value.

    It is asked of the chosen services, for each by itself unless ``together``; rows write neither down.
    """

    expr: str
    legend: str = ""
    columns: str = ""
    """For a table: the name of the column with the values."""
    together: bool = False

    @property
    def shown_expr(self) -> str:
        """As the panel asks it."""
        return of_chosen(self.expr if self.together else kept_apart(self.expr))

    @property
    def shown_legend(self) -> str:
        """With the service behind the name; labels that a scrape does not set are empty."""
        apart = "" if self.together else "".join(f" {{{{{name}}}}}" for name in APART)
        return self.legend + apart if self.legend else "__auto"


def alert_steps(alert: str, warn_at: float) -> tuple[Step, ...]:
    """Green below ``warn_at``, red from where the alert fires."""
    return (warn_at, "yellow"), (ALERT_AT[alert], "red")


def series(
    title: str,
    text: str,
    unit: str,
    *queries: Query,
    alert: str = "",
    warn_at: float | None = None,
    width: int = 8,
    stacked: bool = False,
    also: Sequence[str] = (),
) -> timeseries.Panel:
    """Lines over time, with the threshold of ``alert`` as a line; ``also``: alerts it belongs to without a line."""
    panel = timeseries.Panel().unit(unit).line_width(1.5).fill_opacity(30 if stacked else 5).axis_soft_min(0)
    panel.show_points(options.VisibilityMode.NEVER)
    panel.legend(common.VizLegendOptions().show_legend(True).placement(options.LegendPlacement.BOTTOM))
    panel.tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI))
    if stacked:
        panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL))
    if alert:
        panel.thresholds(_thresholds(alert_steps(alert, ALERT_AT[alert] / 2 if warn_at is None else warn_at)))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(options.GraphThresholdsStyleMode.DASHED))
    _finish(panel, title, text, width, alert, also=also)
    _ask(panel, queries)
    return panel


def figure(title: str, text: str, queries: Sequence[Query], width: int = 8) -> timeseries.Panel:
    """A share between 0 and 1 with its interval: the value as a line, the bounds as a band around it."""
    panel = series(title, text, "percentunit", *queries, width=width).min(0).max(1)
    thin = [
        DynamicConfigValue("custom.lineWidth", 0.5),
        DynamicConfigValue("custom.hideFrom", {"legend": True, "tooltip": False, "viz": False}),
    ]
    panel.override_by_regexp("/ low( |$)/", thin)
    panel.override_by_regexp("/ high( |$)/", thin)
    return panel


def number(
    title: str,
    text: str,
    unit: str,
    *queries: Query,
    steps: Sequence[Step] = NEUTRAL,
    base: str = "green",
    alert: str = "",
    width: int = 3,
    height: int = 4,
    nothing: str = "no data",
) -> stat.Panel:
    """One figure, or one a series, as it is now; coloured by ``steps``, from ``base`` below the first."""
    panel = stat.Panel().unit(unit).no_value(nothing).graph_mode(options.BigValueGraphMode.NONE)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.thresholds(_thresholds(steps, base if steps else "text"))
    panel.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
    _finish(panel, title, text, width, alert, height)
    _ask(panel, queries, instant=True)
    return panel


def rows(
    title: str,
    text: str,
    *queries: Query,
    sort_by: str,
    steps: Mapping[str, Sequence[Step]] | None = None,
    alert: str = "",
    width: int = 12,
    height: int = 8,
    nothing: str = "no data",
) -> table.Panel:
    """A table with a row for each series now; ``steps`` colours the cells of a column."""
    panel = table.Panel().no_value(nothing).filterable(True)
    _finish(panel, title, text, width, alert, height)
    _ask(panel, queries, instant=True, form=PromQueryFormat.TABLE)
    many = len(queries) > 1
    names = {f"Value #{chr(65 + n)}" if many else "Value": query.columns for n, query in enumerate(queries)}
    hidden = {"Time": True} | {name: True for name, shown in names.items() if not shown}
    panel.with_transformation(DataTransformerConfig("merge", options={}))
    shown = {name: column for name, column in names.items() if column}
    panel.with_transformation(
        DataTransformerConfig("organize", options={"excludeByName": hidden, "indexByName": {}, "renameByName": shown})
    )
    panel.sort_by([common.TableSortByFieldState().display_name(sort_by).desc(True)])
    for column, levels in (steps or {}).items():
        cells = {"type": "color-background", "mode": "basic"}
        colours = _thresholds(levels).build()
        values = {"custom.cellOptions": cells, "thresholds": colours, "color": {"mode": "thresholds"}, "decimals": 3}
        panel.override_by_name(column, [DynamicConfigValue(name, value) for name, value in values.items()])
    return panel


def bars(title: str, text: str, query: Query, names: Mapping[str, str], width: int = 12) -> barchart.Panel:
    """Shares by ``bin``, a group of bars for each bin and a colour for each ``series``; ``names`` words the bins."""
    panel = barchart.Panel().unit("percentunit").x_field("bin\\series").group_width(0.8).bar_width(0.9)
    panel.scale_distribution(common.ScaleDistributionConfig().type(options.ScaleDistribution.LOG).log(10))
    panel.legend(common.VizLegendOptions().show_legend(True).placement(options.LegendPlacement.BOTTOM))
    words = {name: {"index": index, "text": shown} for index, (name, shown) in enumerate(names.items())}
    panel.override_by_name("bin\\series", [DynamicConfigValue("mappings", [{"type": "value", "options": words}])])
    _finish(panel, title, text, width, "")
    _ask(panel, [query], instant=True, form=PromQueryFormat.TABLE)
    panel.with_transformation(DataTransformerConfig("sortBy", options={"fields": {}, "sort": [{"field": "bin"}]}))
    matrix = {"columnField": "series", "rowField": "bin", "valueField": "Value", "emptyValue": "null"}
    return panel.with_transformation(DataTransformerConfig("groupingToMatrix", options=matrix))


def heat(
    title: str, text: str, query: Query, *, label: str, unit: str = "short", top: float | None = None, alert: str = ""
) -> heatmap.Panel:
    """Colour by value, with time to the right and a series, or a histogram's bucket (``le``), on each line.

    ``top`` is the value of the strongest colour; without it colours are relative and on a logarithmic scale.
    """
    buckets = query.legend == "{{le}}"
    colour = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).steps(64)
    if top is None:
        colour.scheme("Blues").scale(HeatmapColorScale.EXPONENTIAL).exponent(0.3)
    else:
        colour.scheme("RdYlGn").reverse(True).min(0).max(top)
    panel = (
        heatmap.Panel()
        .unit(unit)
        .calculate(False)
        .color(colour)
        .cell_values(heatmap.CellValues().unit(unit))
        .cell_gap(1)
    )
    panel.y_axis(heatmap.YAxisConfig().axis_label(label)).show_legend()
    _finish(panel, title, text, 12, alert, height=12 if top else 8)
    _ask(panel, [query], form=PromQueryFormat.HEATMAP if buckets else PromQueryFormat.TIME_SERIES)
    return panel


def _thresholds(steps: Sequence[Step], base: str = "green") -> dashboard.ThresholdsConfig:
    levels = [Threshold(None, base), *(Threshold(value, colour) for value, colour in steps)]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(levels)


def _finish(
    panel: Any,  # noqa: ANN401 - the SDK's builders share these methods but no type that has them
    title: str,
    text: str,
    width: int,
    alert: str,
    height: int = 8,
    also: Sequence[str] = (),
) -> None:
    """What every kind has."""
    panel.title(title).description(text).datasource(SOURCE).span(width).height(height)
    links = [
        dashboard.DashboardLink(f"Runbook: {name}")
        .type(DashboardLinkType.LINK)
        .url(f"{RUNBOOK}#{name.lower()}")
        .target_blank(True)
        for name in filter(None, (alert, *also))
    ]
    if links:
        panel.links(links)


def _ask(
    panel: Any,  # noqa: ANN401 - as above
    queries: Sequence[Query],
    *,
    instant: bool = False,
    form: PromQueryFormat = PromQueryFormat.TIME_SERIES,
) -> None:
    for position, query in enumerate(queries):
        target = prometheus.Dataquery().ref_id(chr(65 + position)).datasource(SOURCE).format(form)
        target.expr(query.shown_expr).legend_format(query.shown_legend)
        panel.with_target(target.instant() if instant else target.range())
