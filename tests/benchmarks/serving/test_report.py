"""benchmarks.serving.report: raw figures to tables."""

import json
import math

import pytest

from benchmarks.serving.environments import ROOT
from benchmarks.serving.report import RAW, keep, markdown, number, table, write
from benchmarks.serving.results import median

FLOOR, OURS, LOST = (
    {"name": "floor-2", "title": "the floor", "workers": 2, "note": ""},
    {"name": "ours", "title": "ours", "workers": 2, "note": "a note"},
    {"name": "lost", "title": "lost", "workers": 2, "note": ""},
)


def record(contestant, load, cpu_ms, **more):
    return {
        "contestant": contestant,
        "load": load,
        "requests_per_second": 1234.5,
        "load_p50_ms": 0.5,
        "load_p99_ms": 2.0,
        "load_lag_p99_ms": 0.1,
        "cpu_ms": cpu_ms,
        "memory_mib": 80.0,
        "batch": None,
        "load_errors": 0,
        **more,
    }


@pytest.fixture
def results():
    return {
        "machine": {
            "command": "python -m benchmarks.serve",
            "date": "2030-01-01",
            "git_revision": "abc",
            "cpu": "a processor",
            "cores": 2,
            "memory_gib": 8,
            "kernel": "Linux 6",
            "versions": {"python": "3.11"},
            "load_average_before": [0.1, 0.1, 0.1],
        },
        "rounds": 3,
        "seconds": 5,
        "trees": 100,
        "loads": ["8", "steady"],
        "contestants": [OURS, FLOOR, LOST],
        "not_run": {"lost": "cannot be installed: no wheel"},
        "records": [
            *(record("floor-2", "8", cpu) for cpu in (0.1, 0.1, 9.0)),
            *(
                record("ours", "8", cpu, batch=batch, load_errors=1)
                for cpu, batch in ((0.2, 3.0), (0.3, 5.0), (0.1, 4.0))
            ),
            record("ours", "steady", 0.5),
            record("floor-2", "steady", 0.1),
            record("lost", "8", 0.1),
        ],
    }


def row(text, title):
    line = next(line for line in text.splitlines() if line.startswith(f"| {title} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, "-"),
        (0, "0"),
        (0.03217, "0.0322"),
        (1.0, "1.00"),
        (53.24, "53.2"),
        (999.6, "1,000"),
        (12345.6, "12,346"),
    ],
)
def test_numbers_have_three_digits(value, text):
    """Small ones keep their decimals, large ones are whole and set off."""
    assert number(value) == text


def test_the_median_leaves_out_rounds_without_the_figure():
    """None and NaN are no figures; without any there is no median."""
    assert median([{"x": 1.0}, {"x": None}, {"x": math.nan}, {"x": 3.0}], "x") == 2.0
    assert math.isnan(median([{"x": None}], "x"))


def test_a_row_is_the_median_of_the_rounds_beside_the_floor(results):
    """CPU 0.2 beside the floor's 0.1 is 2 times it; errors are summed."""
    assert row(table(results, "8"), "ours") == [
        "ours", "2", "1,234", "0.500", "2.00", "0.200", "2.00", "80.0", "4.00", "3",
    ]  # fmt: skip


def test_a_constant_rate_has_no_ratio(results):
    """Its rate is not the floor's: a dash, and how late the generator was."""
    cells = row(table(results, "steady"), "ours")
    assert cells[6] == "-"
    assert cells[-2:] == ["0.100", "0"]


def test_who_failed_once_has_no_figures(results):
    """One round's figures do not hide that another round failed; the reason stands there."""
    assert row(table(results, "8"), "lost")[:3] == ["lost", "2", "not run: cannot be installed: no wheel"]


def test_every_row_has_the_columns_of_the_head(results):
    """Also where a contestant did not run."""
    for load in results["loads"]:
        assert len({line.count("|") for line in table(results, load).splitlines()}) == 1


def test_the_page_says_how_it_was_made(results):
    """Command, machine, versions, revision and notes are on it, and a table for each load."""
    page = markdown(results, "serve.png")
    for words in (
        "python -m benchmarks.serve",
        "revision abc",
        "a processor, 2 cores",
        "python 3.11",
        "- ours: a note.",
    ):
        assert words in page
    assert page.count("| contestant |") == len(results["loads"])


def test_tables_can_be_written_again_from_the_raw_figures(results, tmp_path):
    """What was kept gives the same page, beside which no raw figures lie; the picture is a PNG."""
    keep(results, tmp_path / "raw" / "serve.json")
    write(results, tmp_path / "page")
    again = markdown(json.loads((tmp_path / "raw" / "serve.json").read_text()), "serve.png")
    assert (tmp_path / "page" / "serve.md").read_text() == again
    assert (tmp_path / "page" / "serve.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in (tmp_path / "page").iterdir()} == {"serve.md", "serve.png"}


def test_raw_figures_are_kept_where_git_does_not_look():
    """They can be made again, and are thousands of lines."""
    assert RAW.relative_to(ROOT).parts[0] == "build"
    assert "/build/" in (ROOT / ".gitignore").read_text().splitlines()
