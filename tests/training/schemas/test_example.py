"""A request that keeps every rule of a schema."""

import pandas as pd
import pytest

from fraud import schema
from fraud.errors import DataError
from fraud.tables import table
from training import shop
from training.schemas import draft
from training.schemas.example import example


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("shop") / "shop.csv"
    shop.write(path, shop.generate(2_000))
    return path


@pytest.fixture(scope="module")
def declared(file):
    return schema.parse(draft.infer([file]).text, "draft")


def kept(request, declared):
    """The request as the only row of a table, which is checked."""
    return table.check(pd.DataFrame([request]), declared, labelled=False)


def test_with_a_file_it_has_the_middle_of_each_column(file, declared):
    """Median and most frequent level; ids and keys are invented; no row of the file is like it."""
    request = example(declared, file)
    rows = shop.generate(2_000)
    assert request["amount"] == pytest.approx(rows["amount"].median(), abs=0.5)
    assert request["channel"] == rows["channel"].mode()[0]
    assert request["merchant_category"] == "5411"
    assert request["card_present"] is False
    assert (request["order_id"], request["card_id"]) == ("example-1", "example-1")
    assert "note" not in request
    assert "is_fraud" not in request
    assert request["ordered_at"].startswith("2024-02-1")
    assert len(kept(request, declared)) == 1


def test_without_a_file_it_keeps_the_rules(declared):
    """Of the shop's schema, and of the default one."""
    for one in (declared, schema.default()):
        request = example(one)
        assert set(one.inputs) <= set(request)
        assert len(kept(request, one)) == 1


RULES = """
name = "rules"
[columns.a]
kind = "number"
minimum = 5
[columns.b]
kind = "category"
levels = ["x", "y"]
[columns.c]
kind = "time"
format = "%d.%m.%Y"
zone = "UTC"
[columns.d]
kind = "time"
[columns.e]
kind = "number"
maximum = -2.5
[columns.f]
kind = "boolean"
"""


def test_bounds_levels_and_formats_are_kept():
    """Whatever is declared."""
    declared = schema.parse(RULES, "rules")
    request = example(declared)
    assert request == {"a": 5, "b": "x", "c": "17.05.2024", "d": "2024-05-17T12:30:00Z", "e": -2.5, "f": False}
    assert len(kept(request, declared)) == 1


def test_a_file_of_other_columns_is_refused(tmp_path, declared):
    """The missing ones are named."""
    pd.DataFrame({"amount": [1.5], "x": [2]}).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(DataError, match=r"other\.csv: the schema's ordered_at, country, .* is not in the file"):
        example(declared, tmp_path / "other.csv")
