"""The invented shop: its file as people have them, a pattern that can be learnt, and the schema that fits it."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score

from fraud import schema
from fraud.errors import DataError, FraudError
from training import shop
from training.schemas import draft
from training.schemas.check import check


def test_it_is_the_same_whenever_it_is_made(tmp_path):
    """Byte for byte, for the same rows and seed; another seed gives others."""
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        shop.write(tmp_path / name, shop.generate(1_000, seed))
    first, same, other = (tmp_path.joinpath(name).read_bytes() for name in "abc")
    assert first == same != other


def test_its_file_is_as_a_european_spreadsheet_saves_it(tmp_path):
    """A byte-order mark, semicolons, decimal commas, empty fields, local times without a zone."""
    shop.write(tmp_path / "shop.csv", shop.generate(1_000))
    text = tmp_path.joinpath("shop.csv").read_text("utf-8")
    header, first = text.splitlines()[:2]
    assert header.startswith("\ufefforder_id;ordered_at;amount;")
    assert first.count(";") == header.count(";") == 10
    assert any("," in line.split(";")[2] for line in text.splitlines()[1:])
    assert ";;" in text


@pytest.mark.parametrize("rows", [1_000, 5_000])
def test_two_in_a_hundred_are_fraud(rows):
    """In time order, each with an id of its own."""
    table = shop.generate(rows)
    assert (table["is_fraud"] == "Y").sum() == rows * 0.02
    assert table["order_id"].is_unique
    assert table["ordered_at"].is_monotonic_increasing


def test_a_forest_learns_it():
    """Average precision on the latest fifth of 20,000 rows: between 0.6 and 0.85, so neither hopeless nor a leak."""
    table = shop.generate(20_000)
    is_fraud = (table["is_fraud"] == "Y").to_numpy()
    codes = {name: pd.factorize(table[name])[0] for name in ("country", "channel", "merchant_category", "card_present")}
    inputs = np.column_stack(
        [*codes.values(), table["amount"], table["account_age_days"].astype("float64"), table["ordered_at"].dt.hour]
    )
    forest = RandomForestClassifier(60, random_state=0).fit(inputs[:16_000], is_fraud[:16_000])
    scores = forest.predict_proba(inputs[16_000:])[:, 1]
    assert 0.6 < average_precision_score(is_fraud[16_000:], scores) < 0.85


def test_its_draft_needs_no_edit(tmp_path):
    """Kinds and roles are those that its columns were made with, and the file keeps it."""
    shop.write(tmp_path / "shop.csv", shop.generate(20_000))
    made = draft.infer([tmp_path / "shop.csv"])
    read = schema.parse(made.text, "shop.toml")
    assert read.roles.model_dump() == {
        "label": "is_fraud",
        "fraud": ("Y",),
        "id": "order_id",
        "time": "ordered_at",
        "amount": "amount",
    }
    assert {name: column.kind for name, column in read.columns.items()} == {
        "ordered_at": "time",
        "amount": "number",
        "country": "category",
        "channel": "category",
        "merchant_category": "category",
        "card_present": "boolean",
        "account_age_days": "number",
        "card_id": "key",
        "note": "ignored",
    }
    assert read.columns["account_age_days"].missing
    assert read.columns["ordered_at"].derive == ("hour", "weekday")
    assert check([tmp_path / "shop.csv"], read)["passed"]
    assert draft.infer([tmp_path / "shop.csv"]) == made


@pytest.mark.parametrize("rows", [0, 999, 2_000_001])
def test_sizes_are_bounded(rows):
    """Said with what may be asked for."""
    with pytest.raises(DataError, match="from 1000 to 2000000 rows"):
        shop.generate(rows)


def test_a_file_that_is_there_stays(tmp_path):
    """Unless it is to be replaced; a missing folder is named."""
    path = tmp_path / "shop.csv"
    path.write_text("mine")
    with pytest.raises(FraudError, match="is there already; say --replace"):
        shop.write(path, shop.generate(1_000))
    assert path.read_text() == "mine"
    shop.write(path, shop.generate(1_000), replace=True)
    assert path.read_text("utf-8-sig").startswith("order_id")
    with pytest.raises(DataError, match="no such folder"):
        shop.write(tmp_path / "no" / "shop.csv", shop.generate(1_000))
