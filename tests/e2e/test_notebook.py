"""The notebook, run as ``make notebook`` runs it: on the sample, and on data without a time and an amount."""

import os
import re
import sys

import nbformat
import pytest

from tests import two_businesses
from tests.e2e.conftest import run


def notebook_of(data, home, *more):
    """What a run of the notebook says and shows, for each of its cells of code."""
    output = home / "run.ipynb"
    env = {**os.environ, "BENTOML_HOME": str(home)}
    run([sys.executable, "-m", "notebooks.build", "--data", data, *more, "--output", str(output)], env, timeout=400)
    return [cell for cell in nbformat.read(output, as_version=4).cells if cell.cell_type == "code"]


def said(cells):
    return "".join(output.get("text", "") for cell in cells for output in cell.outputs)


def figures(cells):
    return sum("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs)


@pytest.fixture(scope="module")
def of_sample(tmp_path_factory):
    home = tmp_path_factory.mktemp("sample")
    return home, notebook_of("sample:5000", home)


def test_it_runs_on_the_sample(of_sample):
    """Every cell, and what the service answers is what the forest says."""
    _, cells = of_sample
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    assert figures(cells) == 12
    sent, equal = re.search(r"([\d,]+) test rows: ([\d,]+) scores equal to the bit", said(cells)).groups()
    assert sent == equal != "0"


def test_it_leaves_the_model_store_as_it_is(of_sample):
    """A model that is only tried is nowhere the newest, which would be served."""
    home, _ = of_sample
    assert not [*home.rglob("manifest.json")]


def test_it_runs_where_the_schema_names_neither_time_nor_amount(tmp_path):
    """Categories, most of them texts: the two lines are changed, and what is not there is said."""
    data, schema = str(two_businesses.claims(tmp_path)), str(tmp_path / "claims.toml")
    run([sys.executable, "-m", "training", "schema", "infer", data, "--output", schema], os.environ)
    cells = notebook_of(data, tmp_path, "--schema", schema)
    assert "names no time" in said(cells)
    assert "names no amount" in said(cells)
    sent, equal = re.search(r"([\d,]+) test rows: ([\d,]+) scores equal to the bit", said(cells)).groups()
    assert sent == equal != "0"
