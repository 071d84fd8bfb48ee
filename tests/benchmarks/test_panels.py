"""The picture of the dashboard's data: every kind of panel is drawn, and what is empty says so."""

import math

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from benchmarks import panel_kinds
from benchmarks.panel_data import Answer, Series
from benchmarks.panels import draw
from monitoring.grafana.queries import load, panels

DOCUMENT = load()
PANELS = {panel["title"]: panel for panel in panels(DOCUMENT)}
ROWS = [panel for panel in DOCUMENT["panels"] if panel["type"] == "row"]
TIMES = [1.7e9, 1.7e9 + 60, 1.7e9 + 120]


def one(values=(1.0, 2.0, 3.0), name="", **labels):
    return Series(labels, name or ", ".join(labels.values()), TIMES[-len(values) :], list(values))


def drawn(title, *queries):
    """The axes with the data of one panel, and every text in the figure."""
    figure = Figure()
    panel_kinds.titled(figure, Answer(PANELS[title], list(queries)), (0, 0, 1, 1), 0.02)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts] + [
        text.get_text() for text in figure.texts
    ]
    return figure.axes[1], texts


def test_every_kind_of_panel_can_be_drawn():
    """The dashboard has no panel that the picture would fail on."""
    assert {panel["type"] for panel in PANELS.values()} == set(panel_kinds.KINDS)


def test_a_dashboard_without_any_data_is_drawn(tmp_path):
    """Each panel is there and says that it is empty; the picture is not blank."""
    draw([Answer(panel, [[] for _ in panel["targets"]]) for panel in PANELS.values()], ROWS, "x", tmp_path / "a.png")
    picture = matplotlib.image.imread(tmp_path / "a.png")
    assert picture.shape[0] > picture.shape[1] > 1000
    assert np.unique(picture).size > 10


@pytest.mark.parametrize("title", PANELS)
def test_an_empty_panel_says_so(title):
    """In the words that Grafana would show, after "no data"."""
    _, texts = drawn(title, [])
    assert title in texts
    [said] = [text for text in texts if text.startswith("no data")]
    assert PANELS[title]["fieldConfig"]["defaults"].get("noValue", "no data") in said


def test_lines_have_their_values_and_thresholds():
    """Each series is a line with its name; the alert's line is drawn where it is in reach."""
    axes, _ = drawn("Error ratio over time", [one((0.0, 0.02, math.nan), name="errors")])
    line, *levels = axes.get_lines()
    assert list(line.get_ydata())[:2] == [0.0, 0.02]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["errors"]
    assert {level.get_ydata()[0] for level in levels} == {0.001, 0.01}


def test_a_long_legend_says_how_many_it_leaves_out():
    """What is not 0 all the time has its place before what is."""
    quiet = [one((0.0, 0.0, 0.0), name=f"quiet {number}") for number in range(9)]
    axes, _ = drawn("Calls not answered, by reason", [*quiet, one((0.0, 0.5, 0.0), name="busy")])
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names[0] == "busy"
    assert names[-1] == "and 2 more"
    assert len(names) == 9


@pytest.mark.parametrize("minutes", [2, 7, 30, 60, 360, 1440])
def test_the_time_can_be_read_off(minutes):
    """Between three and eight moments are named, however long the time."""
    times = list(np.linspace(1.7e9, 1.7e9 + 60 * minutes, 50))
    axes, _ = drawn("Error ratio over time", [Series({}, "errors", times, [0.0] * 50)])
    low, high = axes.get_xlim()
    named = [at for at in axes.get_xticks() if low <= at <= high]
    assert 3 <= len(named) <= 8


def test_a_figure_alone_is_not_named():
    """Two are, by their labels."""
    axes, _ = drawn("Threshold", [one((0.5,), model_version="a")])
    assert [text.get_text() for text in axes.texts] == ["0.5"]
    axes, _ = drawn("Threshold", [one((0.5,), name="lowest")], [one((0.75,), name="highest")])
    assert [text.get_text() for text in axes.texts] == ["lowest: 0.5", "highest: 0.75"]


def test_lines_are_stacked_as_in_the_dashboard():
    """Also when one series is shorter than the other."""
    axes, _ = drawn("Transactions by decision", [one((1.0, 1.0, 1.0), name="a"), one((2.0,), name="b")])
    assert len(axes.collections) == 2
    assert axes.dataLim.y1 == pytest.approx(3)


def test_numbers_have_their_unit_and_colour():
    """The newest number that is one, formatted, in the colour of the step it has reached."""
    axes, texts = drawn("Error ratio", [one((0.5, 0.02, math.nan))])
    assert "2 %" in texts
    assert axes.texts[0].get_color() == panel_kinds._COLOURS["red"]


def test_cumulative_buckets_become_counts():
    """A histogram's lines are sorted by their edge, and each shows only what is its own."""
    series = [one((9.0, 9.0), name="+Inf", le="+Inf"), one((4.0, 6.0), name="0.5", le="0.5")]
    axes, _ = drawn("Scores over time", series)
    assert axes.collections[0].get_array().tolist() == [[4.0, 6.0], [5.0, 3.0]]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["0.5", "+Inf"]


def test_the_drift_map_has_the_dashboards_scale():
    """Red is reached at the same index as in Grafana; a missing value stays blank."""
    axes, _ = drawn("Feature drift", [one((0.1, 0.2, 0.3), name="V1"), one((0.5,), name="V2")])
    mesh = axes.collections[0]
    assert mesh.get_clim() == (0, 0.4)
    assert np.ma.count_masked(np.ma.masked_invalid(mesh.get_array())) == 2


def test_bars_are_grouped_by_bin():
    """One bar for each bin and series, the bins worded by their edges."""
    served = [one((0.9,), bin="0", series="v served"), one((0.1,), bin="9", series="v served")]
    axes, _ = drawn("Score distribution by model version", [*served, one((1.0,), bin="0", series="v reference")])
    assert axes.get_xticklabels()[0].get_text() == "0 to 0.005"
    assert sorted(bar.get_height() for bar in axes.patches if bar.get_height()) == [0.1, 0.9, 1.0]


def test_tables_join_their_queries():
    """What two queries say of the same labels stands in one row, under the columns' names."""
    labels = {"feature": "V1", "model_version": "v"}
    axes, _ = drawn("Most drifted features", [one((0.25,), **labels)], [one((2000.0,), **labels)])
    cells = {place: cell.get_text().get_text() for place, cell in axes.tables[0].get_celld().items()}
    assert [cells[0, n] for n in range(4)] == ["feature", "model_version", "PSI", "rows"]
    assert [cells[1, n] for n in range(4)] == ["V1", "v", "0.250", "2,000"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, "percentunit", "1.23 %"),
        (0.0051, "s", "5.1 ms"),
        (90.0, "s", "1.5 min"),
        (3.1e6, "dtdurations", "35.9 d"),
        (1234567.0, "short", "1,234,567"),
        (12.34, "reqps", "12.3/s"),
        (0.0, "dateTimeAsIso", "1970-01-01 00:00"),
        (5.0, "furlongs", "5 furlongs"),
        (math.nan, "short", "NaN"),
    ],
)
def test_values_are_written_with_their_unit(value, unit, text):
    """An unknown unit is named too."""
    assert panel_kinds.formatted(value, unit) == text
