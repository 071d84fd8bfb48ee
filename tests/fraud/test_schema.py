"""The contract of a transaction: its columns, their bounds, and the hash over both."""

import json
import re

import pytest
from pydantic import ValidationError

from fraud import schema
from fraud.schema import default
from serving.contract.models import Prediction, Predictions, Transaction
from tests.ulb import COLUMNS, ID_COLUMN, bounds


def test_columns():
    """There are 30 input columns: Time, V1 to V28, Amount, in this order; the id is none of them."""
    assert list(COLUMNS) == ["Time", *(f"V{number}" for number in range(1, 29)), "Amount"]


@pytest.mark.parametrize("column", COLUMNS)
def test_bounds_are_inclusive(line, column):
    """The lowest and the highest value pass; what lies just outside does not."""
    low, high = bounds(column)
    for value in (low, high):
        assert getattr(Transaction(**line | {column: value}), column) == value
    for value in (low - 0.01, high + 1):
        with pytest.raises(ValidationError):
            Transaction(**line | {column: value})


@pytest.mark.parametrize(("column", "expected"), [("Time", (0, 1e11)), ("V1", (-1e6, 1e6)), ("Amount", (0, 1e9))])
def test_bounds(column, expected):
    """They are what the documentation of the fields says."""
    assert bounds(column) == expected


@pytest.mark.parametrize("column", [*COLUMNS, ID_COLUMN])
def test_every_field_is_described(column):
    """The API documentation explains each field."""
    assert Transaction.model_fields[column].description


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_is_required(line, column):
    """A transaction without one of its numbers is none."""
    del line[column]
    with pytest.raises(ValidationError, match="Field required"):
        Transaction(**line)


def test_a_transaction_is_frozen(line):
    """What was validated stays as it was."""
    with pytest.raises(ValidationError):
        Transaction(**line).V1 = 3.0


@pytest.mark.parametrize("text", ["a", "7", "A-b_c.d:e/f", "x" * 64, "2024-01-01T00:00:00"])
def test_ids_that_pass(text):
    """Letters, digits and - _ . : / after a first letter or digit, up to 64 in all."""
    assert re.fullmatch(schema.ID_PATTERN, text)


@pytest.mark.parametrize("text", ["", "-a", "/a", " a", "a b", "a\n", "x" * 65, "ä", "a;b", 'a"b', "a\\b", "a{", "٣"])
def test_ids_that_do_not(line, text):
    """Anything else is refused, as are quotes and braces, on whose absence the request parser counts."""
    with pytest.raises(ValidationError):
        Transaction(**line | {ID_COLUMN: text})


def test_the_hash_is_the_same_in_every_process():
    """The hash of today's schema; when it changes, models must be trained again and this value be renewed."""
    assert default().hash == "6964e738c2b5ace5a3300060b92f1b3f71047a02a8119ea16bc36ebcf9baaeba"


@pytest.mark.parametrize(
    "columns",
    [COLUMNS[:-1], (*COLUMNS, "V29"), (COLUMNS[0], COLUMNS[2], COLUMNS[1], *COLUMNS[3:])],
    ids=["one fewer", "one more", "another order"],
)
def test_the_hash_tells_other_columns(monkeypatch, columns):
    """Other columns, or another order, give another hash."""
    before = default().hash
    monkeypatch.setattr(schema, "bounds", lambda column: bounds("V1") if column == "V29" else bounds(column))
    monkeypatch.setattr(schema, "COLUMNS", columns)
    assert default().hash != before


def test_the_hash_tells_other_bounds(monkeypatch):
    """Another bound of one column gives another hash."""
    before = default().hash
    monkeypatch.setattr(schema, "bounds", lambda column: (0.0, 2.0) if column == "Amount" else bounds(column))
    assert default().hash != before


def test_prediction_leaves_out_nothing_and_adds_the_id():
    """An answer has the probability, the decision, the version, and the id when there is one."""
    answer = Prediction(fraud_probability=0.25, is_fraud=False, model_version="v", transaction_id="a")
    assert json.loads(Predictions(predictions=[answer]).model_dump_json()) == {
        "predictions": [
            {"fraud_probability": 0.25, "is_fraud": False, "model_version": "v", "transaction_id": "a"},
        ]
    }


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_a_probability_lies_between_0_and_1(probability):
    """Nothing else is an answer."""
    with pytest.raises(ValidationError):
        Prediction(fraud_probability=probability, is_fraud=True, model_version="v")
