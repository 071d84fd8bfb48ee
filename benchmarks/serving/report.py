"""Raw figures of all rounds to one table a load: medians, ratios to the floor, and why a contestant did not run.

python -m benchmarks.serving.report docs/speed      # page and picture again, of what the last run left in build/speed
"""

import json
import math
import sys
from pathlib import Path

from benchmarks.serving.environments import ROOT
from benchmarks.serving.load import MOST_RATE, STEADY
from benchmarks.serving.plot import plot
from benchmarks.serving.results import Record, Results, median, of

RAW = ROOT / "build" / "speed" / "serve.json"
"""What a run measured, round by round. Not kept in the repository: the run can be made again."""

_COLUMNS = {
    "requests/s": "requests_per_second",
    "p50 ms": "load_p50_ms",
    "p99 ms": "load_p99_ms",
    "CPU-ms a request": "cpu_ms",
    "x floor": "",
    "peak MiB": "memory_mib",
    "batch": "batch",
}
_METHOD = """\
Figures are medians over the rounds. Each round starts every contestant anew, in turn, and checks its score before it
is measured. *CPU-ms a request* is the main figure: user and system time of the whole process tree, supervisors
included, over the requests. The load generator shares the cores with the server and nothing is pinned, so requests per
second are what both together reach. *x floor* is the CPU beside that of the floor with as many workers. *Peak MiB* is
the sum of the tree's proportional set sizes. *Batch* is the mean of `bentoml_service_adaptive_batch_size`. Errors are
answers other than 2xx and calls without an answer, summed over the rounds."""


def number(value: float) -> str:
    """Three significant digits, thousands set off, ``-`` for none."""
    if math.isnan(value):
        return "-"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def table(results: Results, load: str) -> str:
    """The Markdown table of one load."""
    late = ["sent late, p99 ms"] if load == STEADY else []
    head = ["contestant", "workers", *_COLUMNS, *late, "errors"]
    rows = [head, ["---"] * len(head)]
    for contestant in results["contestants"]:
        cells = _cells(results, contestant, load)
        rows.append([contestant["title"], str(contestant["workers"]), *cells, *[""] * (len(head) - 2 - len(cells))])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(results: Results, contestant: Record, load: str) -> list[str]:
    records = of(results, contestant["name"], load)
    if not records or contestant["name"] in results["not_run"]:
        return [f"not run: {results['not_run'].get(contestant['name'], 'no figures')}"]
    figures = {name: median(records, key) for name, key in _COLUMNS.items() if key}
    floor = median(of(results, f"floor-{contestant['workers']}", load), "cpu_ms")
    figures["x floor"] = figures["CPU-ms a request"] / floor if load != STEADY and floor else math.nan
    late = [median(records, "load_lag_p99_ms")] if load == STEADY else []
    errors = sum(record["load_errors"] for record in records)
    return [*(number(value) for value in [*(figures[name] for name in _COLUMNS), *late]), str(errors)]


def markdown(results: Results, picture: str) -> str:
    """The whole page."""
    parts = ["# Serving speed", _machine(results["machine"])]
    size = (
        f"{results['rounds']} round(s), {results['seconds']} s a load; the common forest has {results['trees']} trees."
    )
    parts += [f"{size}\n{_METHOD}", f"![CPU a request and requests per second]({picture})"]
    for load in results["loads"]:
        parts += [*_heading(load), table(results, load)]
    notes = dict.fromkeys(f"- {c['title']}: {c['note']}." for c in results["contestants"] if c["note"])
    return "\n\n".join([*parts, *(["## Notes", "\n".join(notes)] if notes else [])]) + "\n"


def _machine(facts: Record) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return (
        f"`{facts['command']}`, {facts['date']}, revision {facts['git_revision']}.\n"
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB, {facts['kernel']}; "
        f"load average before: {facts['load_average_before'][0]}.\n{versions}."
    )


def _heading(load: str) -> list[str]:
    if load != STEADY:
        return [f"## Closed loop, {load} caller" + ("" if load == "1" else "s")]
    return [
        "## Constant rate",
        f"Half of each contestant's best rate above, and at most {MOST_RATE:,.0f} calls a second, which the generator\n"
        "keeps up with. Calls are sent when they are due, whether or not earlier ones were answered, and measured\n"
        "from then: what the generator itself was late by is part of the latencies. Rates differ, and CPU a request\n"
        "with them: there is no ratio to the floor.",
    ]


def write(results: Results, folder: Path) -> None:
    """``serve.md`` and ``serve.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "serve.md").write_text(markdown(results, "serve.png"))
    plot(results, folder / "serve.png")


def keep(results: Results, raw: Path = RAW) -> None:
    """The raw figures, from which ``write`` makes the same page at any time."""
    raw.parent.mkdir(parents=True, exist_ok=True)
    raw.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    write(json.loads(RAW.read_text()), Path(sys.argv[1]))
