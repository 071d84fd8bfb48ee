"""The notebook as it is kept: made of its source, run on the real data, and showing none of its transactions."""

import json
import re

import nbformat
import pytest

from fraud.schema import default
from notebooks import build

NOTEBOOK = nbformat.read(build.NOTEBOOK, as_version=4)
CODE = [cell for cell in NOTEBOOK.cells if cell.cell_type == "code"]
SHOWN = {
    "display_data": {"image/png", "text/plain", "text/html"},
    "execute_result": {"text/plain", "text/html", "text/markdown"},
}


def texts():
    """All that the outputs say, but for pictures."""
    for output in (output for cell in CODE for output in cell.outputs):
        data = output.get("data", {"text/plain": output.get("text")})
        yield from (text for kind, text in data.items() if kind != "image/png")


def without_tags(text):
    return re.sub(r"<style.*?</style>|<[^>]+>", " ", text, flags=re.S)


def test_it_is_what_its_source_says():
    """Cell for cell; ``make notebook`` makes it anew."""
    made = [(cell.cell_type, cell.id, cell.source) for cell in build.made().cells]
    assert [(cell.cell_type, cell.id, cell.source) for cell in NOTEBOOK.cells] == made


def test_it_was_run_whole_on_the_real_data():
    """Every cell of code, in order, and not on the sample."""
    assert [cell.execution_count for cell in CODE] == [*range(1, len(CODE) + 1)]
    assert "Generated rows" not in "".join(texts())
    assert sum("image/png" in output.get("data", {}) for cell in CODE for output in cell.outputs) >= 12


def test_it_holds_what_a_run_gives_and_nothing_of_the_run():
    """No times, no progress, no widgets, no addresses, no names of a kernel or an editor."""
    assert NOTEBOOK.metadata == build.METADATA
    assert [cell.metadata for cell in NOTEBOOK.cells] == [{}] * len(NOTEBOOK.cells)
    for output in (output for cell in CODE for output in cell.outputs):
        if output.output_type == "stream":
            assert output.name == "stdout"
        else:
            assert set(output.data) <= SHOWN[output.output_type]
            assert " at 0x" not in output.data.get("text/plain", "")


def test_tables_have_the_same_ids_in_each_run():
    """pandas draws an id for each table; here it is the cell's, so that a run on the same data differs in nothing."""
    for cell in CODE:
        ids = re.findall(r"\bT_\w+?(?=_|\b)", "".join(str(output.get("data", "")) for output in cell.outputs))
        assert set(ids) <= {f"T_{cell.id}"}


def test_it_shows_no_transaction():
    """A row of the data has a value for each column, and more digits than any figure here."""
    columns = {*default().inputs, default().roles.label}
    for text in texts():
        assert not re.search(r"\d\.\d{5}", without_tags(text)), text
        headings = re.findall(r"<th [^>]*class=\"col_heading[^>]*>([^<]*)</th>", text)
        assert not columns & set(headings)
        for row in re.findall(r"<tr>.*?</tr>", text, re.S):
            assert row.count("<td") < 8, row


@pytest.mark.parametrize(
    "secret", [r"/(home|root|tmp|work|usr|opt|var|mnt|Users)/", r"[A-Z]:\\", r"\d{4}-\d\d-\d\d[T ]"]
)
def test_it_says_nothing_of_the_machine(secret):
    """No path of it, and no time of the run."""
    assert not re.search(secret, json.dumps([*texts()]))


def test_it_is_small():
    """So that a clone stays quick."""
    assert build.NOTEBOOK.stat().st_size < 1_000_000
