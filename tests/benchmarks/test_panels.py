"""The picture of the dashboard's data: every panel is drawn, with what Prometheus says, and what is empty says so."""

import math

import httpx
import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from benchmarks.panels import _plot, draw, series
from monitoring.grafana.queries import load, panels

PANELS = {panel["title"]: panel for panel in panels(load())}
NOW = 1.7e9


def asked(title, *results):
    """The series of a panel when Prometheus answers its queries in turn with these; and what it was asked."""
    answers, calls = iter(results), []

    def answer(request):
        calls.append((request.url.path, dict(httpx.QueryParams(request.content.decode()))))
        return httpx.Response(200, json={"status": "success", "data": {"result": next(answers)}})

    with httpx.Client(transport=httpx.MockTransport(answer), base_url="http://prometheus") as prometheus:
        return series(prometheus, PANELS[title], NOW, 120), calls


def drawn(lines):
    """The axes with the data of one panel."""
    axes = Figure().subplots()
    _plot(axes, lines)
    return axes


def test_a_dashboard_without_any_data_is_drawn(tmp_path):
    """Each panel is there; the picture is not blank."""
    draw([(panel, []) for panel in PANELS.values()], tmp_path / "a.png")
    picture = matplotlib.image.imread(tmp_path / "a.png")
    assert min(picture.shape[:2]) > 1000
    assert np.unique(picture).size > 10


def test_an_empty_panel_says_so():
    """Without a series there is a word in place of lines."""
    assert [text.get_text() for text in drawn([]).texts] == ["no data"]


def test_a_panel_over_time_is_asked_for_all_of_it():
    """The variables are filled in; times are minutes from now, names are the legend's."""
    labels = {"endpoint": "/predict", "http_response_code": "200"}
    values = [[NOW - 60, "1.5"], [NOW, "NaN"]]
    [(name, times, read)], calls = asked("Requests by endpoint and status", [{"metric": labels, "values": values}])
    assert name == "/predict 200"
    assert times == [-1, 0]
    assert read[0] == 1.5
    assert math.isnan(read[1])
    [(path, form)] = calls
    assert path == "/api/v1/query_range"
    assert float(form["end"]) - float(form["start"]) == 120
    assert "$" not in form["query"]


def test_series_of_nan_alone_are_no_data():
    """A ratio of nothing to nothing is not shown as a line."""
    lines, _ = asked("Error ratio over time", [{"metric": {}, "values": [[NOW, "NaN"]]}])
    assert lines == []


def test_every_query_of_a_table_is_asked_for_now():
    """What two queries say of the same labels is shown with the labels' values."""
    labels = {"__name__": "x", "feature": "V1", "model_version": "v"}
    results = ([{"metric": labels, "value": [NOW, text]}] * 2 for text in ("0.25", "2000"))
    lines, calls = asked("Most drifted features", *results)
    assert [(name, values) for name, _, values in lines] == [("V1, v", [0.25])] * 2 + [("V1, v", [2000.0])] * 2
    assert {path for path, _ in calls} == {"/api/v1/query"}


def test_lines_have_their_values_and_names():
    """Each series is a line with its name."""
    axes = drawn([("errors", [-1, 0], [0.0, 0.02]), ("late", [0], [1.0])])
    assert [list(line.get_ydata()) for line in axes.get_lines()] == [[0.0, 0.02], [1.0]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["errors", "late"]


def test_a_long_list_says_how_many_it_leaves_out():
    """Nine figures have a place."""
    [text] = drawn([(f"V{number}", [0], [0.5]) for number in range(12)]).texts
    assert text.get_text().splitlines()[0] == "V0: 0.5"
    assert text.get_text().splitlines()[-1] == "and 3 more"


@pytest.mark.parametrize(("value", "text"), [(0.01234, "0.0123"), (1234567.0, "1,234,567"), (0.0, "0"), (-1.5, "-1.5")])
def test_figures_can_be_read(value, text):
    """Small ones keep three digits, large ones are set off."""
    assert [one.get_text() for one in drawn([("x", [0], [value])]).texts] == [f"x: {text}"]


def test_what_prometheus_refuses_ends_the_command():
    """With the query and its words."""
    refusal = httpx.MockTransport(lambda _: httpx.Response(400, json={"status": "error", "error": "parse error"}))
    with (
        httpx.Client(transport=refusal, base_url="http://prometheus") as prometheus,
        pytest.raises(SystemExit, match=r"error: .*: parse error"),
    ):
        series(prometheus, PANELS["Error ratio"], NOW, 120)
