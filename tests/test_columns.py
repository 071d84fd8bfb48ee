"""What a transaction is stands in a schema file: no module knows a column of any data set."""

import ast
import re

import pytest

from fraud.schema import default
from tests.test_architecture import FILES, NAMES, ROOT

GENERATORS = ("training/sample.py", "training/shop.py")
"""They make data sets, and so know their columns."""
OTHERS = {("monitoring/grafana/panels.py", "Time")}
"""Grafana's own name of a field."""
COLUMNS = {*default().inputs, default().roles.label}


@pytest.mark.parametrize("path", [file for file in FILES if str(file.relative_to(ROOT)) not in GENERATORS], ids=str)
def test_no_module_names_a_column(path):
    """Neither by name nor by how many there are: a column more is a line of a schema file."""
    source, name = path.read_text(), str(path.relative_to(ROOT))
    texts = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
    assert {text for text in texts & COLUMNS if (name, text) not in OTHERS} == set()
    assert not re.findall(r"\(n, \d\d+\)|\(1, \d\d+\)|\b30 (?:inputs|columns|features)", source)


def test_the_generator_that_names_columns_is_found_out():
    """The test above can fail: the sample's own module would."""
    assert "training/sample.py" in NAMES
    texts = {
        node.value
        for node in ast.walk(ast.parse((ROOT / "training/sample.py").read_text()))
        if isinstance(node, ast.Constant)
    }
    assert texts & COLUMNS
